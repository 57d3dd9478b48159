// Writes a log line for each change of a model's or the server's state, and passes events on.
#pragma once

#include "server/request/observer.h"

namespace reprise::server::config {

// Thread-safe. Nothing is logged per request.
class LoggingObserver : public Observer {
 public:
  explicit LoggingObserver(Observer& next) : next_(next) {}  // `next` must outlive this

  void OnRpcFinished(const RpcOutcome& outcome) override { next_.OnRpcFinished(outcome); }
  void OnInferenceFinished(const InferenceOutcome& outcome) override {
    next_.OnInferenceFinished(outcome);
  }
  void OnBatchFinished(const BatchOutcome& outcome) override { next_.OnBatchFinished(outcome); }
  void OnSequence(std::string_view model, std::string_view version, std::int64_t tokens) override {
    next_.OnSequence(model, version, tokens);
  }
  void OnQueueDepth(std::string_view model, std::string_view version,
                    const QueueDepth& depth) override {
    next_.OnQueueDepth(model, version, depth);
  }
  void OnInflight(std::string_view model, std::string_view version,
                  std::int64_t requests) override {
    next_.OnInflight(model, version, requests);
  }
  void OnModelState(std::string_view model, std::string_view version, ModelState state,
                    std::string_view reason) override;
  void OnModelReady(const ModelDescription& description,
                    std::chrono::nanoseconds load_time) override;
  void OnGoldenMismatch(std::string_view model, std::string_view version) override {
    next_.OnGoldenMismatch(model, version);  // the state that follows says what differs
  }
  void OnDraining() override;

 private:
  Observer& next_;
};

}  // namespace reprise::server::config
