// Which distributed trace a call belongs to, by W3C Trace Context
// (https://www.w3.org/TR/trace-context/), whatever the protocol.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reprise::server {

// Ids are lower-case hexadecimal digits, as logs and trace files show them.
struct TraceContext {
  std::string trace_id{};        // 32 digits: the caller's, or a new one
  std::string span_id{};         // 16 digits: the call's own, new
  std::string parent_span_id{};  // 16 digits: the caller's; empty when it sent no valid traceparent
  std::string trace_state{};     // the caller's, for the systems it names; empty without
  bool caller_samples = false;   // the flag of the caller's traceparent

  bool has_parent() const { return !parent_span_id.empty(); }
};

std::string NewSpanId();

// From the values of all headers (metadata) `traceparent` and `tracestate` of a call, in the order
// they came. A traceparent that is missing, sent twice or malformed begins a new trace, as the
// standard has it; a malformed tracestate is left out. Thread-safe.
TraceContext BeginTrace(std::span<const std::string_view> traceparent,
                        std::span<const std::string_view> tracestate);

}  // namespace reprise::server
