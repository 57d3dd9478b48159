// Writes a log line for each change of a model's or the server's state, and for requests that
// failed by a fault of ours; at level debug for every call.
#pragma once

#include <atomic>

#include "server/request/observer.h"

namespace reprise::server::config {

// Thread-safe. Lines about a call carry its trace_id and span_id; what it asked for is never
// logged.
class LoggingObserver final : public Observer {
 public:
  void OnRpcFinished(const RpcOutcome& outcome) override;
  void OnInferenceFinished(const InferenceOutcome& outcome) override;
  void OnModelState(std::string_view model, std::string_view version, ModelState state,
                    std::string_view reason) override;
  void OnModelReady(const ModelDescription& description,
                    std::chrono::nanoseconds load_time) override;
  void OnModelUnloaded(std::string_view model, std::string_view version) override;
  void OnGoldenMismatch(std::string_view model, std::string_view version) override;
  void OnDraining() override;
  void OnSpans(SpanFate fate, std::int64_t spans, std::string_view reason) override;

 private:
  std::atomic<bool> told_of_lost_spans_ = false;
};

}  // namespace reprise::server::config
