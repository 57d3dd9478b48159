#include "server/pipeline/text_tokenizer.h"

#include <condition_variable>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fakes/fake_clock.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"

namespace reprise::server::pipeline {
namespace {

using ::reprise::server::testing::FakeClock;
using ::reprise::server::testing::TextTensor;
using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;

const InputRules kRules{.model_name = "mini",
                        .vocab_size = 128,
                        .type_vocab_size = 1,
                        .max_sequence_tokens = 64,
                        .max_text_tokens = 64,
                        .max_text_bytes = 64,
                        .max_batch_size = 8,
                        .max_batch_tokens = 256,
                        .accepts_text = true};

// Encodes a text as its bytes; the text "hold" waits until it is released.
class Encoder {
 public:
  EncodeText function() {
    return [this](std::string_view text, std::size_t) -> absl::StatusOr<Encoding> {
      MutexLock lock(mutex_);
      seen_.emplace_back(text);
      changed_.notify_all();
      while (text == "hold" && !released_) changed_.wait(lock.native());
      return Encoding{{text.begin(), text.end()}, std::vector<std::int32_t>(text.size(), 0)};
    };
  }
  void AwaitSeen(std::size_t count) {
    MutexLock lock(mutex_);
    while (seen_.size() < count) changed_.wait(lock.native());
  }
  void Release() {
    MutexLock lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }
  std::vector<std::string> seen() {
    MutexLock lock(mutex_);
    return seen_;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false;
  std::vector<std::string> seen_;
};

struct Outcome {
  Mutex mutex;
  std::condition_variable arrived;
  int times = 0;
  absl::StatusOr<PackedRows> rows;
  absl::StatusOr<PackedRows> Await() {
    MutexLock lock(mutex);
    while (times == 0) arrived.wait(lock.native());
    return rows;
  }
};

class TextTokenizerTest : public ::testing::Test {
 protected:
  std::shared_ptr<Outcome> Submit(std::vector<std::string> texts,
                                  SteadyClock::time_point deadline = SteadyClock::time_point::max(),
                                  std::shared_ptr<Cancellation> cancellation = nullptr) {
    auto outcome = std::make_shared<Outcome>();
    TokenizeJob job;
    job.request = std::make_unique<InferenceRequest>();
    const auto rows = static_cast<std::int64_t>(texts.size());
    job.request->inputs.push_back(TextTensor({rows}, std::move(texts)));
    job.request->deadline = deadline;
    if (cancellation != nullptr) job.request->cancellation = cancellation;
    job.done = [outcome](std::unique_ptr<InferenceRequest> request,
                         absl::StatusOr<PackedRows> result, std::chrono::nanoseconds) {
      EXPECT_NE(request, nullptr);
      MutexLock lock(outcome->mutex);
      outcome->rows = std::move(result);
      ++outcome->times;
      outcome->arrived.notify_all();
    };
    tokenizer_.Submit(std::move(job));
    return outcome;
  }

  FakeClock clock_;
  Encoder encoder_;
  TextTokenizer tokenizer_{kRules, encoder_.function(), 1, clock_};
};

TEST_F(TextTokenizerTest, TurnsTextsIntoRows) {
  const auto rows = Submit({"AB", "C"})->Await();
  ASSERT_OK(rows);
  EXPECT_THAT(rows->input_ids, ElementsAre('A', 'B', 'C'));
  EXPECT_THAT(rows->cu_seqlens, ElementsAre(0, 2, 3));
}

TEST_F(TextTokenizerTest, AFaultOfOneTextIsTheRequests) {
  EXPECT_THAT(Submit({"A", ""})->Await(), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_OK(Submit({"A"})->Await());
}

TEST_F(TextTokenizerTest, ExpiredAndCancelledRequestsAreNotRead) {
  auto cancellation = std::make_shared<Cancellation>();
  const auto held = Submit({"hold"});
  encoder_.AwaitSeen(1);
  const auto expired = Submit({"expired"}, clock_.Now() + std::chrono::seconds(1));
  const auto cancelled = Submit({"cancelled"}, SteadyClock::time_point::max(), cancellation);
  clock_.Advance(std::chrono::seconds(1));
  cancellation->Cancel();
  encoder_.Release();
  EXPECT_THAT(expired->Await(), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_THAT(cancelled->Await(), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_OK(held->Await());
  EXPECT_THAT(encoder_.seen(), ElementsAre("hold"));
}

TEST_F(TextTokenizerTest, StopsBetweenTextsOfACancelledRequest) {
  auto cancellation = std::make_shared<Cancellation>();
  const auto outcome = Submit({"hold", "next"}, SteadyClock::time_point::max(), cancellation);
  encoder_.AwaitSeen(1);
  cancellation->Cancel();
  encoder_.Release();
  EXPECT_THAT(outcome->Await(), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_THAT(encoder_.seen(), ElementsAre("hold"));
}

TEST_F(TextTokenizerTest, ShutdownRefusesWhatWaitsAndFinishesWhatRuns) {
  const auto running = Submit({"hold"});
  encoder_.AwaitSeen(1);
  const auto waiting = Submit({"A"});
  std::thread stopper([this] { tokenizer_.Shutdown(); });
  EXPECT_THAT(waiting->Await(), StatusIs(absl::StatusCode::kUnavailable, _));
  encoder_.Release();
  EXPECT_OK(running->Await());
  stopper.join();
  EXPECT_THAT(Submit({"A"})->Await(), StatusIs(absl::StatusCode::kUnavailable, _));
}

}  // namespace
}  // namespace reprise::server::pipeline
