#include "server/trace/otlp_json.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/request/refusal_name.h"

namespace reprise::server::trace {
namespace {

using Json = nlohmann::ordered_json;
using TimePoint = SteadyClock::time_point;

// Numbers of OTLP's enums SpanKind and StatusCode.
constexpr int kKindInternal = 1;
constexpr int kKindServer = 2;
constexpr int kStatusError = 2;

Json Attribute(std::string_view key, std::string_view value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

// OTLP writes 64-bit numbers as strings.
Json Attribute(std::string_view key, std::int64_t value) {
  return {{"key", key}, {"value", {{"intValue", std::to_string(value)}}}};
}

// OpenTelemetry's conventions for gRPC: codes that a server's operator has to look into.
bool IsServerError(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

struct Step {
  const char* name;
  TimePoint start;
  TimePoint end;
};

// The steps that a call came to, cut to the call's time: a batch may run on after its caller has
// gone.
std::vector<Step> StepsOf(const TracedCall& call) {
  std::vector<Step> found;
  if (!call.is_inference) return found;
  const RequestSteps& steps = call.inference.steps;
  const auto or_end = [&call](TimePoint step) {
    return RequestSteps::Reached(step) ? step : call.end;
  };
  const auto add = [&](const char* name, TimePoint start, TimePoint end) {
    start = std::clamp(start, call.start, call.end);
    found.push_back({name, start, std::clamp(end, start, call.end)});
  };
  add("decode", call.start, call.start + call.inference.decode);
  const bool text = RequestSteps::Reached(steps.tokenized);
  if (text) add("tokenize", steps.queued, steps.tokenized);
  if (RequestSteps::Reached(steps.queued)) {
    add("queue", text ? steps.tokenized : steps.queued, or_end(steps.batched));
  }
  if (RequestSteps::Reached(steps.computing)) {
    add("compute", steps.computing, or_end(steps.computed));
  }
  if (call.inference.encode.count() > 0) add("encode", call.end - call.inference.encode, call.end);
  return found;
}

Json Span(const TracedCall& call, const std::string& id, const std::string& parent,
          const std::string& name, int kind, TimePoint start, TimePoint end) {
  const auto unix_nanoseconds = [&call](TimePoint time) {
    return std::to_string((time.time_since_epoch() + call.wall_offset).count());
  };
  return {{"traceId", call.trace.trace_id},
          {"spanId", id},
          {"parentSpanId", parent},
          {"name", name},
          {"kind", kind},
          {"startTimeUnixNano", unix_nanoseconds(start)},
          {"endTimeUnixNano", unix_nanoseconds(end)}};
}

void AddInferenceAttributes(const TracedCall& call, Json* attributes) {
  const TracedInference& inference = call.inference;
  const auto add = [attributes](std::string_view key, auto value) {
    attributes->push_back(Attribute(key, value));
  };
  add("reprise.model.name", std::string_view(inference.model));
  add("reprise.model.version", std::string_view(inference.version));
  if (!inference.id.empty()) add("reprise.request.id", std::string_view(inference.id));
  if (call.code == absl::StatusCode::kOk) {
    add("reprise.rows", inference.rows);
    add("reprise.tokens", inference.tokens);
    add("reprise.batch.rows", inference.batch_rows);
    add("reprise.batch.tokens", inference.batch_tokens);
  }
  if (inference.steps.batch > 0) add("reprise.batch.id", inference.steps.batch);
  if (inference.refusal != RefusalReason::kNone) add("reprise.refused", Name(inference.refusal));
}

Json CallSpan(const TracedCall& call) {
  Json span = Span(call, call.trace.span_id, call.trace.parent_span_id,
                   call.protocol + " " + call.method, kKindServer, call.start, call.end);
  if (!call.trace.trace_state.empty()) span["traceState"] = call.trace.trace_state;
  Json attributes =
      Json::array({Attribute("rpc.system", call.protocol), Attribute("rpc.method", call.method),
                   Attribute("rpc.grpc.status_code", static_cast<std::int64_t>(call.code))});
  if (call.is_inference) AddInferenceAttributes(call, &attributes);
  span["attributes"] = std::move(attributes);
  span["status"] = IsServerError(call.code) ? Json{{"code", kStatusError},
                                                   {"message", absl::StatusCodeToString(call.code)}}
                                            : Json::object();
  return span;
}

Json StepSpan(const TracedCall& call, const Step& step) {
  Json span =
      Span(call, NewSpanId(), call.trace.span_id, step.name, kKindInternal, step.start, step.end);
  Json attributes = Json::array();
  if (step.name == std::string_view("compute")) {
    attributes.push_back(Attribute("reprise.batch.id", call.inference.steps.batch));
  }
  span["attributes"] = std::move(attributes);
  span["status"] = Json::object();
  return span;
}

}  // namespace

int CountSpans(const TracedCall& call) { return 1 + static_cast<int>(StepsOf(call).size()); }

std::string FormatTrace(const TracedCall& call, std::string_view server_version) {
  Json spans = Json::array({CallSpan(call)});
  for (const Step& step : StepsOf(call)) spans.push_back(StepSpan(call, step));
  const Json resource = {
      {"attributes", Json::array({Attribute("service.name", "reprise"),
                                  Attribute("service.version", server_version)})}};
  const Json scope_spans = {{"scope", {{"name", "reprise"}}}, {"spans", std::move(spans)}};
  const Json resource_spans = {{"resource", resource}, {"scopeSpans", Json::array({scope_spans})}};
  const Json line = {{"resourceSpans", Json::array({resource_spans})}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace reprise::server::trace
