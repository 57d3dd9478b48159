// What the rooms of the server report at each hand-over; metrics, logs and traces are made from it,
// nowhere else.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/execution_report.h"
#include "server/request/inference_request.h"
#include "server/request/serving_core.h"
#include "server/request/trace_context.h"

namespace reprise::server {

// An RPC of any protocol that reached the application has ended; reported exactly once for each.
struct RpcOutcome {
  std::string_view protocol{};  // "grpc"
  std::string_view
      method{};  // "ModelInfer", "Embed", ...; "_unknown" for methods that do not exist
  absl::StatusCode code = absl::StatusCode::kOk;
  SteadyClock::time_point arrival{};
  // Null for an inference, whose own outcome carries it, so that each call is one span.
  const TraceContext* trace = nullptr;
};

// An inference has ended, whatever the protocol: a unary call, an item of a stream, an HTTP
// request.
struct InferenceOutcome {
  std::string_view protocol{};  // the next two as in RpcOutcome
  std::string_view method{};
  std::string_view id{};       // as the caller chose it; empty without
  std::string_view model{};    // as asked for; may be one that does not exist
  std::string_view version{};  // empty when no version was found
  absl::StatusCode code = absl::StatusCode::kOk;
  RefusalReason refusal = RefusalReason::kNone;
  SteadyClock::time_point arrival{};
  std::chrono::nanoseconds duration{
      0};  // decode of the call to its last byte handed to the protocol
  std::chrono::nanoseconds decode{0};
  std::chrono::nanoseconds encode{0};
  RequestTiming timing{};  // of answered requests
  RequestSteps steps{};    // of any request, as far as it came
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::chrono::nanoseconds deadline_slack{
      0};  // time left at completion; meaningful when has_deadline
  bool has_deadline = false;
  const TraceContext* trace = nullptr;  // null: not traced
};

enum class BatchCloseReason : std::uint8_t {
  kTokens,
  kRows,
  kScores,
  kDeadline,  // one more would have made a member late
  kCost,      // one more would have cost the members more than a batch of its own costs all
  kDelay,
  kIdle,
  kDrain
};

struct BatchOutcome {
  std::string_view model{};
  std::string_view version{};
  std::int64_t requests = 0;
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  BatchCloseReason closed = BatchCloseReason::kIdle;
  std::chrono::nanoseconds form{0};  // gathering the batch
  std::chrono::nanoseconds compute{0};
  // Predicted for a request that comes when this batch is done; zero while nothing was measured.
  std::chrono::nanoseconds predicted_wait{0};
  const engine::ExecutionReport* report =
      nullptr;  // null when the engine failed; valid during the call
};

struct QueueDepth {
  std::int64_t requests = 0;
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;
  std::int64_t score_bytes = 0;
};

// What became of spans that were to be written to the trace file.
enum class SpanFate : std::uint8_t { kWritten, kQueueFull, kWriteFailed };

// Thread-safe; calls are short and never block. What a listener does not override, it does not want
// to hear. Views and pointers are valid during the call only.
class Observer {
 public:
  virtual ~Observer() = default;

  virtual void OnRpcFinished(const RpcOutcome&) {}
  virtual void OnInferenceFinished(const InferenceOutcome&) {}
  virtual void OnBatchFinished(const BatchOutcome&) {}
  virtual void OnSequence(std::string_view /*model*/, std::string_view /*version*/,
                          std::int64_t /*tokens*/) {}  // at admission
  virtual void OnQueueDepth(std::string_view /*model*/, std::string_view /*version*/,
                            const QueueDepth&) {}
  virtual void OnInflight(std::string_view /*model*/, std::string_view /*version*/,
                          std::int64_t /*requests*/) {}

  // The life of a version. kLoading: it does not serve yet (a version that goes on serving while it
  // is loaded anew stays kReady, and tells by a `reason` that this failed). kUnavailable: it
  // failed, `reason` says at which step, or it is gone (kUnloaded, then OnModelUnloaded).
  // kUnloading: it was asked to go and still answers what it took; reprise_model_ready vanishes
  // here.
  virtual void OnModelState(std::string_view /*model*/, std::string_view /*version*/, ModelState,
                            std::string_view /*reason*/) {}
  // A version is loaded and warm, just before it becomes kReady.
  virtual void OnModelReady(const ModelDescription&, std::chrono::nanoseconds /*load_time*/) {}
  // A version is gone and nothing of it runs any more: its series end. Not for one whose successor
  // has the same number. It may be loaded again later, which begins with kLoading.
  virtual void OnModelUnloaded(std::string_view /*model*/, std::string_view /*version*/) {}
  // A version answered its stored samples differently from what was stored with them, and was
  // therefore kept from serving.
  virtual void OnGoldenMismatch(std::string_view /*model*/, std::string_view /*version*/) {}

  // The server shows a certificate, from now on, that expires then.
  virtual void OnCertificate(std::chrono::system_clock::time_point /*expires*/) {}

  virtual void OnDraining() {}
  // `reason` says why a file could not be written; empty for the other fates.
  virtual void OnSpans(SpanFate, std::int64_t /*spans*/, std::string_view /*reason*/) {}
};

}  // namespace reprise::server
