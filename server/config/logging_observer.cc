#include "server/config/logging_observer.h"

#include <string>

#include "absl/status/status.h"
#include "engine/model.h"
#include "server/config/json_log.h"
#include "server/repository/serving_options.h"

namespace reprise::server::config {
namespace {

LogFields OfVersion(std::string_view model, std::string_view version) {
  return {{"model", model}, {"version", version}};
}

// Codes that say that something of ours went wrong, not something of the caller's.
bool IsOurFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

void AddTrace(const TraceContext* trace, LogFields* fields) {
  if (trace == nullptr) return;
  (*fields)["trace_id"] = trace->trace_id;
  (*fields)["span_id"] = trace->span_id;
}

double Milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

void LoggingObserver::OnRpcFinished(const RpcOutcome& outcome) {
  if (outcome.trace == nullptr) return;  // an inference; its own outcome says more
  const LogLevel level = IsOurFault(outcome.code) ? LogLevel::kError : LogLevel::kDebug;
  if (!Logs(level)) return;
  LogFields fields = {{"protocol", outcome.protocol},
                      {"method", outcome.method},
                      {"code", absl::StatusCodeToString(outcome.code)}};
  AddTrace(outcome.trace, &fields);
  Log(level, "call finished", fields);
}

void LoggingObserver::OnInferenceFinished(const InferenceOutcome& outcome) {
  const LogLevel level = IsOurFault(outcome.code) ? LogLevel::kError : LogLevel::kDebug;
  if (!Logs(level)) return;
  constexpr std::size_t kLongestId = 256;  // the caller chose it, at any length
  LogFields fields = {{"protocol", outcome.protocol},
                      {"method", outcome.method},
                      {"code", absl::StatusCodeToString(outcome.code)},
                      {"request_id", outcome.id.substr(0, kLongestId)},
                      // A name that no model has is the caller's text.
                      {"model", outcome.version.empty() ? std::string_view() : outcome.model},
                      {"version", outcome.version},
                      {"duration_ms", Milliseconds(outcome.duration)},
                      {"rows", outcome.rows},
                      {"tokens", outcome.tokens},
                      {"batch", outcome.steps.batch}};
  AddTrace(outcome.trace, &fields);
  Log(level, "inference finished", fields);
}

void LoggingObserver::OnModelState(std::string_view model, std::string_view version,
                                   ModelState state, std::string_view reason) {
  LogFields fields = OfVersion(model, version);
  switch (state) {
    case ModelState::kLoading:
      LogInfo("model loading", fields);
      break;
    case ModelState::kUnloading:
      LogInfo("model unloading", fields);
      break;
    case ModelState::kUnavailable:
      if (reason == kUnloaded) break;  // OnModelUnloaded says so
      fields["reason"] = reason;
      LogError("model unavailable", fields);
      break;
    case ModelState::kReady:
      if (reason.empty()) break;  // OnModelReady says more
      fields["reason"] = reason;
      LogError("model load failed, the version loaded before serves on", fields);
      break;
    case ModelState::kUnknown:
      break;
  }
}

void LoggingObserver::OnModelReady(const ModelDescription& description,
                                   std::chrono::nanoseconds load_time) {
  const engine::Model& model = *description.model;
  const ModelLimits& limits = description.limits;
  LogInfo("model ready", {{"model", description.name},
                          {"version", description.version},
                          {"load_seconds", std::chrono::duration<double>(load_time).count()},
                          {"reuse_plan", model.plan().name()},
                          {"precision", engine::Name(model.precision())},
                          {"strategy", description.strategy},
                          {"device", description.device},
                          {"parameter_bytes", model.parameter_bytes()},
                          {"executors", limits.executors},
                          {"threads", limits.threads},
                          {"max_batch_tokens", limits.max_batch_tokens}});
}

void LoggingObserver::OnModelUnloaded(std::string_view model, std::string_view version) {
  LogInfo("model unloaded", OfVersion(model, version));
}

void LoggingObserver::OnGoldenMismatch(std::string_view model, std::string_view version) {
  LogError("stored samples were not answered as stored", OfVersion(model, version));
}

void LoggingObserver::OnDraining() { LogInfo("draining"); }

void LoggingObserver::OnSpans(SpanFate fate, std::int64_t, std::string_view reason) {
  if (fate != SpanFate::kWriteFailed || told_of_lost_spans_.exchange(true)) return;
  LogError(
      "spans are lost: the trace file cannot be written; reprise_trace_spans_total counts them",
      {{"reason", reason}});
}

}  // namespace reprise::server::config
