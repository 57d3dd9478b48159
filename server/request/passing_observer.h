// An observer that passes every event on, for those that look at some of them on the way.
#pragma once

#include "server/request/observer.h"

namespace reprise::server {

// Thread-safe. Whoever overrides an event calls this class's version of it too.
class PassingObserver : public Observer {
 public:
  explicit PassingObserver(Observer& next) : next_(next) {}  // `next` must outlive this

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
                    std::string_view reason) override {
    next_.OnModelState(model, version, state, reason);
  }
  void OnModelReady(const ModelDescription& description,
                    std::chrono::nanoseconds load_time) override {
    next_.OnModelReady(description, load_time);
  }
  void OnDraining() override { next_.OnDraining(); }

 private:
  Observer& next_;
};

}  // namespace reprise::server
