// Chooses the calls that are traced and hands them to the trace file.
#pragma once

#include "server/request/observer.h"
#include "server/trace/trace_file.h"

namespace reprise::server::trace {

struct TraceOptions {
  // Where spans are written, one call a line in OpenTelemetry's JSON; empty: nowhere.
  std::string file{};
  // Of calls that come without a traceparent, the share that is traced: 0 to 1. For the others
  // their own flag decides.
  double sample_rate = 1;
};

// Whether a call is traced. Calls of one trace without a caller's flag are traced all or none, here
// and in other servers that sample as OpenTelemetry does (by the last 56 bits of the trace id).
bool Samples(const TraceContext& trace, double sample_rate);

// Thread-safe. `file` must outlive it.
class TracingObserver final : public Observer {
 public:
  TracingObserver(TraceFile& file, double sample_rate) : file_(file), sample_rate_(sample_rate) {}

  void OnRpcFinished(const RpcOutcome& outcome) override;
  void OnInferenceFinished(const InferenceOutcome& outcome) override;

 private:
  TraceFile& file_;
  const double sample_rate_;
};

}  // namespace reprise::server::trace
