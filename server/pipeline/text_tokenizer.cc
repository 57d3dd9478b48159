#include "server/pipeline/text_tokenizer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/check.h"
#include "server/request/guarded.h"
#include "server/request/still_wanted.h"

namespace reprise::server::pipeline {

TextTokenizer::TextTokenizer(InputRules rules, EncodeText encode, int threads, Clock& clock)
    : rules_(std::move(rules)), encode_(std::move(encode)), clock_(clock) {
  REPRISE_CHECK(threads >= 1);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

TextTokenizer::~TextTokenizer() { Shutdown(); }

void TextTokenizer::Submit(TokenizeJob job) {
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      waiting_.push_back(std::move(job));
      changed_.notify_one();
      return;
    }
  }
  job.done(std::move(job.request), absl::UnavailableError("the server is shutting down"), {});
}

void TextTokenizer::Shutdown() {
  Jobs refused;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    refused.swap(waiting_);
    changed_.notify_all();
  }
  for (TokenizeJob& job : refused) {
    job.done(std::move(job.request), absl::UnavailableError("the server is shutting down"), {});
  }
  for (std::thread& thread : threads_) thread.join();
}

void TextTokenizer::Work() {
  while (true) {
    Jobs taken;  // those nobody waits for any more, then the first that somebody does
    {
      MutexLock lock(mutex_);
      while (!stopping_ && waiting_.empty()) changed_.wait(lock.native());
      if (stopping_) return;
      const SteadyClock::time_point now = clock_.Now();
      const auto wanted = std::stable_partition(
          waiting_.begin(), waiting_.end(),
          [&](const TokenizeJob& job) { return !StillWanted(*job.request, now).ok(); });
      const auto end = wanted == waiting_.end() ? wanted : std::next(wanted);
      std::move(waiting_.begin(), end, std::back_inserter(taken));
      waiting_.erase(waiting_.begin(), end);
    }
    for (TokenizeJob& job : taken) {
      const SteadyClock::time_point start = clock_.Now();
      absl::StatusOr<PackedRows> rows = Guarded("the text's tokens", [&] {
        return Tokenize(*job.request, job.request->inputs[job.text_input]);
      });
      job.done(std::move(job.request), std::move(rows), clock_.Now() - start);
    }
  }
}

absl::StatusOr<PackedRows> TextTokenizer::Tokenize(const InferenceRequest& request,
                                                   const Tensor& text) const {
  PackedRows rows;
  for (const std::string& element : text.elements) {
    REPRISE_RETURN_IF_ERROR(StillWanted(request, clock_.Now()));
    REPRISE_RETURN_IF_ERROR(AppendText(element, request.truncate, encode_, rules_, &rows));
  }
  return rows;
}

}  // namespace reprise::server::pipeline
