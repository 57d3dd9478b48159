// What every protocol front end calls: the server without a protocol.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model.h"
#include "server/request/inference_request.h"

namespace reprise::server {

struct TensorSpec {
  std::string name;
  DataType datatype = DataType::kFp32;
  std::vector<std::int64_t> shape;  // with the leading batch dimension; -1 = any
  bool optional = false;
};

// The limits a request must keep, all readable by clients. Zero means no limit where said so.
struct ModelLimits {
  std::int64_t max_batch_size = 0;  // sequences per request and per batch
  std::int64_t max_batch_tokens = 0;
  std::int64_t max_batch_score_bytes = 0;
  std::int64_t max_sequence_tokens = 0;  // for ids: max_position_embeddings
  std::int64_t max_text_tokens = 0;      // for text
  std::int64_t max_queue_requests = 0;
  std::int64_t max_queue_rows = 0;
  std::int64_t max_queue_tokens = 0;
  std::int64_t max_queue_bytes = 0;
  std::int64_t max_queue_score_bytes = 0;
  std::int64_t max_queue_delay_us = 0;
  std::int64_t queue_timeout_us = 0;  // 0: none
  int priority_levels = 1;            // 1 is the highest
  int default_priority = 1;
  int executors = 1;
  int threads = 1;
};

// Everything about one loaded version that a client may ask for.
struct ModelDescription {
  std::string name;
  std::string version;                // the version described
  std::vector<std::string> versions;  // all ready versions of the model
  std::string platform = "reprise_bert";
  std::vector<TensorSpec>
      inputs;  // input_ids, attention_mask, token_type_ids, text (when a tokenizer is loaded)
  std::vector<TensorSpec> outputs;
  std::vector<std::string> labels;  // of the output `logits`
  ModelLimits limits;
  std::string device = "cpu";
  std::string strategy = "auto";
  std::shared_ptr<const engine::Model> model;  // config, reuse plan, precision, parameter counts
};

enum class ModelState : std::uint8_t { kUnknown, kReady, kUnavailable, kLoading, kUnloading };

struct ModelIndexEntry {
  std::string name;
  std::string version;
  ModelState state = ModelState::kUnknown;
  std::string reason;
};

// Thread-safe. Error messages and codes are those of docs (unknown model: NotFound "Request for
// unknown model: 'm' is not found"; known but not ready: Unavailable "... is not at ready state").
class ServingCore {
 public:
  virtual ~ServingCore() = default;

  // Takes the request; request->done is called exactly once, possibly before this returns.
  virtual void Infer(std::unique_ptr<InferenceRequest> request) = 0;

  virtual bool Ready()
      const = 0;  // every model configured at start was ready once, and the server does not drain
  // False for a known model that is not ready; NotFound for an unknown one.
  virtual absl::StatusOr<bool> ModelReady(const std::string& name,
                                          const std::string& version) const = 0;
  virtual absl::StatusOr<ModelDescription> Describe(const std::string& name,
                                                    const std::string& version) const = 0;
  virtual std::vector<ModelIndexEntry> Index() const = 0;
};

}  // namespace reprise::server
