// What the rooms of the server report at each hand-over; metrics and logs are made from it, nowhere
// else.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/execution_report.h"
#include "server/request/inference_request.h"
#include "server/request/serving_core.h"

namespace reprise::server {

// An RPC of any protocol that reached the application has ended; reported exactly once for each.
struct RpcOutcome {
  std::string_view protocol;  // "grpc"
  std::string_view method;  // "ModelInfer", "Embed", ...; "_unknown" for methods that do not exist
  absl::StatusCode code = absl::StatusCode::kOk;
};

// An inference has ended, whatever the protocol.
struct InferenceOutcome {
  std::string_view model;    // as asked for; the observer maps unknown names to "_unknown"
  std::string_view version;  // empty when no version was found
  absl::StatusCode code = absl::StatusCode::kOk;
  RefusalReason refusal = RefusalReason::kNone;
  std::chrono::nanoseconds duration{
      0};  // decode of the call to its last byte handed to the protocol
  std::chrono::nanoseconds decode{0};
  std::chrono::nanoseconds encode{0};
  RequestTiming timing;
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::chrono::nanoseconds deadline_slack{
      0};  // time left at completion; meaningful when has_deadline
  bool has_deadline = false;
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
  std::string_view model;
  std::string_view version;
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

// Thread-safe; calls are short and never block.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnRpcFinished(const RpcOutcome& outcome) = 0;
  virtual void OnInferenceFinished(const InferenceOutcome& outcome) = 0;
  virtual void OnBatchFinished(const BatchOutcome& outcome) = 0;
  virtual void OnSequence(std::string_view model, std::string_view version,
                          std::int64_t tokens) = 0;  // at admission
  virtual void OnQueueDepth(std::string_view model, std::string_view version,
                            const QueueDepth& depth) = 0;
  virtual void OnInflight(std::string_view model, std::string_view version,
                          std::int64_t requests) = 0;
  virtual void OnModelState(std::string_view model, std::string_view version, ModelState state,
                            std::string_view reason) = 0;
  virtual void OnModelReady(const ModelDescription& description,
                            std::chrono::nanoseconds load_time) = 0;
  virtual void OnDraining() = 0;
};

}  // namespace reprise::server
