// A call with known moments, and the spans in a line of a trace file.
#pragma once

#include <map>
#include <string>

#include "nlohmann/json.hpp"
#include "server/trace/traced_call.h"

namespace reprise::server::trace::testing {

using std::chrono::milliseconds;

// An answered ModelInfer of a text: arrives at 0 ms and ends at 100 ms of the steady clock, which
// is one second of the calendar.
inline TracedCall AnsweredCall() {
  const auto at = [](int ms) { return SteadyClock::time_point(milliseconds(1000 + ms)); };
  TracedCall call;
  call.trace = {.trace_id = "0af7651916cd43dd8448eb211c80319c",
                .span_id = "00f067aa0ba902b7",
                .parent_span_id = "b7ad6b7169203331",
                .trace_state = "vendor=value",
                .caller_samples = true};
  call.protocol = "grpc";
  call.method = "ModelInfer";
  call.start = at(0);
  call.end = at(100);
  call.is_inference = true;
  call.inference = {.id = "mine",
                    .model = "demo",
                    .version = "3",
                    .decode = milliseconds(5),
                    .encode = milliseconds(4),
                    .steps = {.version = "3",
                              .queued = at(10),
                              .tokenized = at(20),
                              .batched = at(50),
                              .computing = at(51),
                              .computed = at(90),
                              .batch = 17},
                    .rows = 2,
                    .tokens = 12,
                    .batch_rows = 4,
                    .batch_tokens = 30};
  return call;
}

inline nlohmann::json SpansOf(const std::string& line) {
  return nlohmann::json::parse(line)["resourceSpans"][0]["scopeSpans"][0]["spans"];
}

// By name; names do not repeat within a call.
inline std::map<std::string, nlohmann::json> SpansByName(const std::string& line) {
  std::map<std::string, nlohmann::json> spans;
  for (const nlohmann::json& span : SpansOf(line)) spans[span["name"].get<std::string>()] = span;
  return spans;
}

// Values as texts, as OTLP writes integers.
inline std::map<std::string, std::string> AttributesOf(const nlohmann::json& span) {
  std::map<std::string, std::string> attributes;
  for (const nlohmann::json& attribute : span["attributes"]) {
    attributes[attribute["key"].get<std::string>()] = attribute["value"].front().get<std::string>();
  }
  return attributes;
}

}  // namespace reprise::server::trace::testing
