// One inference on its way through the server; exactly one room owns it at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/request/cancellation.h"
#include "server/request/request_progress.h"
#include "server/request/tensor.h"

namespace reprise::server {

using SteadyClock = std::chrono::steady_clock;

// How long one request spent where. Zero where it never came to that step.
struct RequestTiming {
  std::chrono::nanoseconds tokenize{0};
  std::chrono::nanoseconds queue{0};    // admission to the start of its batch
  std::chrono::nanoseconds form{0};     // gathering the whole batch
  std::chrono::nanoseconds compute{0};  // of the whole batch
  std::chrono::nanoseconds unpack{0};   // taking this request's outputs from the batch's
  std::int64_t batch_rows = 0;          // sequences of the batch it ran in
  std::int64_t batch_tokens = 0;        // real tokens of that batch
};

struct InferenceReply {
  std::string model_name;
  std::string model_version;    // the version that answered
  std::string id;               // echoed
  std::vector<Tensor> outputs;  // in the order asked for
  RequestTiming timing;
  std::int64_t rows = 0;    // sequences of this request
  std::int64_t tokens = 0;  // real tokens of this request
};

// Why a request was refused before it ran: the label values of reprise_refused_total.
enum class RefusalReason : std::uint8_t {
  kNone,
  kQueueRequests,
  kQueueRows,
  kQueueTokens,
  kQueueBytes,
  kQueueScoreBytes,
  kDeadline,
  kQuota,
  kDraining,
  kTooLarge,
  kInvalid
};

using InferenceCallback =
    std::function<void(absl::StatusOr<InferenceReply> reply, RefusalReason refusal)>;

// Moved from room to room, never shared.
struct InferenceRequest {
  std::string model_name;
  std::string model_version;  // empty: the latest ready one
  std::string id;
  std::vector<Tensor> inputs;
  std::vector<std::string> output_names;  // empty: the defaults for the kind of input
  bool truncate = false;   // cut over-long text to the model's limit instead of refusing it
  int priority = 0;        // 1 highest, 0 the model's default
  std::string client_key;  // for fairness; by default the peer's address
  SteadyClock::time_point arrival = SteadyClock::now();
  SteadyClock::time_point deadline = SteadyClock::time_point::max();
  std::shared_ptr<Cancellation> cancellation = std::make_shared<Cancellation>();
  std::shared_ptr<RequestProgress> progress = std::make_shared<RequestProgress>();
  InferenceCallback done;  // called exactly once, on any thread, never under a lock of the server
};

}  // namespace reprise::server
