// Threads that turn the texts of requests into packed rows, so that protocol threads never do.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/pipeline/model_inputs.h"
#include "server/request/clock.h"
#include "server/request/inference_request.h"
#include "server/request/mutex.h"

namespace reprise::server::pipeline {

// One request on its way through the tokenizer.
struct TokenizeJob {
  std::unique_ptr<InferenceRequest> request;
  std::size_t text_input = 0;  // index of the tensor `text` in request->inputs, already checked
  // Called once, on a thread of the tokenizer, or of Shutdown's caller, never under a lock:
  // the request comes back, with its rows or with the error to answer. `spent` is tokenizing time.
  absl::AnyInvocable<void(std::unique_ptr<InferenceRequest> request,
                          absl::StatusOr<PackedRows> rows, std::chrono::nanoseconds spent)>
      done;
};

// Its queue has no bound of its own: whoever submits holds a queue ticket (batching/admission.h)
// for each job, so the queue's five bounds count these requests too. Expired and cancelled requests
// leave the queue, unread, before the next one is tokenized, and between two texts of a request.
// Thread-safe.
class TextTokenizer {
 public:
  // `clock` must outlive this. Requires: threads >= 1.
  TextTokenizer(InputRules rules, EncodeText encode, int threads, Clock& clock);
  ~TextTokenizer();  // Shutdown
  TextTokenizer(const TextTokenizer&) = delete;
  TextTokenizer& operator=(const TextTokenizer&) = delete;

  // After Shutdown the job is done with Unavailable, before this returns.
  void Submit(TokenizeJob job);
  // Waiting jobs are done with Unavailable; returns when the running ones are done. Idempotent.
  void Shutdown();

 private:
  using Jobs = std::deque<TokenizeJob>;

  void Work();
  absl::StatusOr<PackedRows> Tokenize(const InferenceRequest& request, const Tensor& text) const;

  const InputRules rules_;
  const EncodeText encode_;
  Clock& clock_;

  Mutex mutex_;
  std::condition_variable changed_;
  Jobs waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // joined by the first Shutdown
};

}  // namespace reprise::server::pipeline
