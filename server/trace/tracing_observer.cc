#include "server/trace/tracing_observer.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

namespace reprise::server::trace {
namespace {

// What a caller chose, kept to a length that a queue of calls can bear.
std::string CutShort(std::string_view text) {
  constexpr std::size_t kLongest = 256;
  return std::string(text.substr(0, kLongest));
}

// What the two kinds of outcome have in common. `end` is now.
template <typename Outcome>
TracedCall Call(const Outcome& outcome) {
  TracedCall call;
  call.trace = *outcome.trace;
  call.protocol = std::string(outcome.protocol);
  call.method = std::string(outcome.method);
  call.code = outcome.code;
  call.start = outcome.arrival;
  call.end = SteadyClock::now();
  // Anew each time, so that a clock that is set while the server runs does not shift later spans.
  call.wall_offset =
      std::chrono::system_clock::now().time_since_epoch() - call.end.time_since_epoch();
  return call;
}

}  // namespace

bool Samples(const TraceContext& trace, double sample_rate) {
  if (trace.has_parent()) return trace.caller_samples;
  constexpr std::size_t kRandomDigits = 14;
  const char* end = trace.trace_id.data() + trace.trace_id.size();
  std::uint64_t random = 0;
  std::from_chars(end - kRandomDigits, end, random, 16);
  // Compared as integers: a double does not hold 56 bits.
  constexpr double kRange = 72057594037927936.0;  // 2^56
  return random >= static_cast<std::uint64_t>((1 - sample_rate) * kRange);
}

void TracingObserver::OnRpcFinished(const RpcOutcome& outcome) {
  if (outcome.trace == nullptr || !Samples(*outcome.trace, sample_rate_)) return;
  file_.Write(Call(outcome));
}

void TracingObserver::OnInferenceFinished(const InferenceOutcome& outcome) {
  if (outcome.trace == nullptr || !Samples(*outcome.trace, sample_rate_)) return;
  TracedCall call = Call(outcome);
  call.end = outcome.arrival + outcome.duration;
  call.is_inference = true;
  call.inference = {.id = CutShort(outcome.id),
                    .model = CutShort(outcome.model),
                    .version = std::string(outcome.version),
                    .refusal = outcome.refusal,
                    .decode = outcome.decode,
                    .encode = outcome.encode,
                    .steps = outcome.steps,
                    .rows = outcome.rows,
                    .tokens = outcome.tokens,
                    .batch_rows = outcome.timing.batch_rows,
                    .batch_tokens = outcome.timing.batch_tokens};
  file_.Write(std::move(call));
}

}  // namespace reprise::server::trace
