// A call as OpenTelemetry spans in JSON.
#pragma once

#include <string>
#include <string_view>

#include "server/trace/traced_call.h"

namespace reprise::server::trace {

// How many spans FormatTrace makes of a call.
int CountSpans(const TracedCall& call);

// One TracesData message in OTLP's JSON encoding (ids in hexadecimal, times as decimal strings):
// what a file of OpenTelemetry's File Exporter holds in each line, and the Collector's
// otlpjsonfile receiver reads.
//
//   server span   "grpc ModelInfer", with the caller's span as parent
//   child spans   "decode", "tokenize", "queue", "compute", "encode": those that the call came to;
//                 one that was cut off by the end of the call ends with it
//
// Without its end of line. `server_version` is the attribute service.version. Bytes that are not
// UTF-8 are replaced.
std::string FormatTrace(const TracedCall& call, std::string_view server_version);

}  // namespace reprise::server::trace
