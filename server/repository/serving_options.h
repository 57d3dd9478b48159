// How one model is served: the defaults come from flags, a model's own from its model.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "server/batching/batching_options.h"

namespace reprise::server::repository {

// Which of a model's versions are loaded.
struct VersionChoice {
  enum class Kind { kLatest, kAll, kListed } kind = Kind::kLatest;
  std::int64_t latest = 1;           // for kLatest: this many, the highest, >= 1
  std::vector<std::int64_t> listed;  // for kListed, ascending, each >= 1
  bool operator==(const VersionChoice&) const = default;
};

struct ModelServingOptions {
  // What the model runs on.
  engine::DeviceId device = {};
  // Arithmetic of the matrix products. auto: bf16 on a GPU and where the CPU multiplies bf16 in
  // hardware.
  engine::Precision precision = engine::Precision::kAuto;
  // How reuse heads get their scores. auto: what costs least by measured times.
  engine::ReuseStrategy strategy = engine::ReuseStrategy::kAuto;
  // How stored scores are kept. auto: as the precision.
  engine::ScoreFormat score_format = engine::ScoreFormat::kAuto;
  // Upper limit of one executor's score cache; it never takes more than it can use. 0 to 1 TiB.
  std::int64_t score_cache_bytes = engine::ExecutorOptions().score_cache_bytes;
  // Batches that run at the same time, each with its own threads and memory. 1 to 256.
  int executors = 1;
  // Threads of one executor. 0: the machine's cores, shared evenly by the executors. 0 to 1024.
  int threads = 0;
  // Whether a text's answer has the same bits alone and in any batch; a GPU is faster for small
  // batches without.
  bool batch_invariant = true;
  // Bind the executors' helper threads to cores: steadier times on a machine of one's own.
  bool pin_threads = false;
  // Threads that tokenize text. 1 to 256.
  int tokenizer_threads = 1;
  // Longest text, in bytes: bounds the time that one text can hold a tokenizer thread. >= 1.
  std::int64_t max_text_bytes = std::int64_t{1} << 20;
  // Largest reply, all outputs together. A few tokens in long padded rows may ask for a huge
  // last_hidden_state. 1 to 2147483647, what one protobuf message can hold.
  std::int64_t max_reply_bytes = std::int64_t{128} << 20;
  // Times that each warm-up batch runs on each executor before the model is ready. 0 to 1000; 0
  // leaves the first page faults to the first caller.
  int warmup_runs = 1;
  VersionChoice versions;
  batching::BatchingOptions batching;
  bool operator==(const ModelServingOptions&) const = default;
};

// InvalidArgument names the first field out of range, and the range.
absl::Status Validate(const ModelServingOptions& options);

// For flags and model.json alike. InvalidArgument lists the values that exist.
absl::StatusOr<engine::Precision> ParsePrecision(std::string_view text);  // auto fp32 bf16
absl::StatusOr<engine::ReuseStrategy> ParseStrategy(
    std::string_view text);  // auto stored recompute fused
absl::StatusOr<engine::ScoreFormat> ParseScoreFormat(std::string_view text);  // auto fp32 bf16
std::string_view Name(engine::ReuseStrategy strategy);

}  // namespace reprise::server::repository
