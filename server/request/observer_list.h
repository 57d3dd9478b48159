// Several listeners as one observer.
#pragma once

#include <utility>
#include <vector>

#include "server/request/observer.h"

namespace reprise::server {

// Passes every event on to all listeners, in their order. Thread-safe as they are.
class ObserverList final : public Observer {
 public:
  // The listeners must outlive this; null ones are left out.
  explicit ObserverList(std::vector<Observer*> listeners) : listeners_(std::move(listeners)) {
    std::erase(listeners_, nullptr);
  }

  void OnRpcFinished(const RpcOutcome& outcome) override { All(&Observer::OnRpcFinished, outcome); }
  void OnInferenceFinished(const InferenceOutcome& outcome) override {
    All(&Observer::OnInferenceFinished, outcome);
  }
  void OnBatchFinished(const BatchOutcome& outcome) override {
    All(&Observer::OnBatchFinished, outcome);
  }
  void OnSequence(std::string_view model, std::string_view version, std::int64_t tokens) override {
    All(&Observer::OnSequence, model, version, tokens);
  }
  void OnQueueDepth(std::string_view model, std::string_view version,
                    const QueueDepth& depth) override {
    All(&Observer::OnQueueDepth, model, version, depth);
  }
  void OnInflight(std::string_view model, std::string_view version,
                  std::int64_t requests) override {
    All(&Observer::OnInflight, model, version, requests);
  }
  void OnModelState(std::string_view model, std::string_view version, ModelState state,
                    std::string_view reason) override {
    All(&Observer::OnModelState, model, version, state, reason);
  }
  void OnModelReady(const ModelDescription& description,
                    std::chrono::nanoseconds load_time) override {
    All(&Observer::OnModelReady, description, load_time);
  }
  void OnModelUnloaded(std::string_view model, std::string_view version) override {
    All(&Observer::OnModelUnloaded, model, version);
  }
  void OnGoldenMismatch(std::string_view model, std::string_view version) override {
    All(&Observer::OnGoldenMismatch, model, version);
  }
  void OnCertificate(std::chrono::system_clock::time_point expires) override {
    All(&Observer::OnCertificate, expires);
  }
  void OnDraining() override { All(&Observer::OnDraining); }
  void OnSpans(SpanFate fate, std::int64_t spans, std::string_view reason) override {
    All(&Observer::OnSpans, fate, spans, reason);
  }

 private:
  template <typename... Parameters, typename... Arguments>
  void All(void (Observer::*event)(Parameters...), const Arguments&... arguments) {
    for (Observer* listener : listeners_) (listener->*event)(arguments...);
  }

  std::vector<Observer*> listeners_;  // constant after construction
};

}  // namespace reprise::server
