// What every protocol front end calls: the server without a protocol.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
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

// The reason of a version that is kUnavailable because somebody wanted it so.
inline constexpr std::string_view kUnloaded = "unloaded";

struct ModelIndexEntry {
  std::string name;
  std::string version;  // empty: on disk, and no version of it was ever loaded
  ModelState state = ModelState::kUnknown;
  std::string reason;  // of kReady: why a later load failed, while what was loaded before serves on
};

// The parameters of LoadModel and UnloadModel as a client wrote them; the core judges them.
using ControlParameter = std::variant<bool, std::int64_t, std::string>;
using ControlParameters = std::map<std::string, ControlParameter>;
// Called exactly once, on any thread, possibly before the call it belongs to returns, never under a
// lock of the server.
using ControlCallback = std::function<void(absl::Status)>;

// Thread-safe. Error messages and codes are those of docs (unknown model: NotFound "Request for
// unknown model: 'm' is not found"; known but not ready: Unavailable "... is not at ready state").
class ServingCore {
 public:
  virtual ~ServingCore() = default;

  // Takes the request; request->done is called exactly once, possibly before this returns.
  virtual void Infer(std::unique_ptr<InferenceRequest> request) = 0;

  virtual bool Ready() const = 0;  // every model configured at start was ready once, the server
                                   // does not drain, and no device is lost
  // False for a known model that is not ready; NotFound for an unknown one.
  virtual absl::StatusOr<bool> ModelReady(const std::string& name,
                                          const std::string& version) const = 0;
  virtual absl::StatusOr<ModelDescription> Describe(const std::string& name,
                                                    const std::string& version) const = 0;
  // The models on disk, loaded or not; sorted by name, then version.
  virtual std::vector<ModelIndexEntry> Index() const = 0;

  // Reads the model's folder anew and brings the server to what it says: versions that are new or
  // have changed are loaded and replace those that serve, all in one step once the last of them is
  // ready; those it no longer wants are unloaded. When anything fails, what served before serves
  // on. Returns at once; `done` comes when the switch is made or has failed. The calls for one
  // model take effect one after another, in their order.
  //   parameters: `config`, the text to use in place of model.json
  // Unavailable where the server takes no loads or stops; InvalidArgument for a name or parameter
  // that cannot be; Unimplemented for a parameter `file:...`; NotFound for a model that is not on
  // disk; FailedPrecondition for one whose files do not load; ResourceExhausted when too many such
  // calls wait.
  virtual void LoadModel(const std::string& name, const ControlParameters& parameters,
                         ControlCallback done) = 0;
  // Takes no new request for the model, lets those under way finish and gives its memory back, then
  // calls `done`. NotFound for a model that is not loaded; the rest as LoadModel.
  //   parameters: `unload_dependents` (bool), without effect: no model here depends on another
  virtual void UnloadModel(const std::string& name, const ControlParameters& parameters,
                           ControlCallback done) = 0;
};

}  // namespace reprise::server
