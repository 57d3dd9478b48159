// Which outputs a request gets, and their tensors cut out of the batch it ran in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/executor.h"
#include "server/pipeline/packed_rows.h"
#include "server/request/tensor.h"

namespace reprise::server::pipeline {

inline constexpr std::string_view kLastHiddenState = "last_hidden_state";
inline constexpr std::string_view kSentenceEmbedding = "sentence_embedding";
inline constexpr std::string_view kPoolerOutput = "pooler_output";
inline constexpr std::string_view kLogits = "logits";

// What a loaded version can answer; fixed at load.
struct OutputRules {
  std::string model_name;  // for messages
  engine::OutputSet has;   // outputs of the model
  std::int64_t hidden_size = 0;
  std::int64_t num_labels = 0;       // columns of logits
  std::int64_t max_reply_bytes = 0;  // of all outputs of one request
};

// The outputs one request gets, in the order it asked for.
struct WantedOutputs {
  std::vector<std::string> names;
  engine::OutputSet set;
};

// The names that `has` contains, in the order of the model's metadata.
std::vector<std::string> OutputNames(const engine::OutputSet& has);

// Without names: for ids all outputs of the model; for text the sentence embedding, or else the
// logits, or else everything. InvalidArgument names an unknown or repeated output and those that
// exist.
absl::StatusOr<WantedOutputs> ChooseOutputs(std::span<const std::string> names, bool for_text,
                                            const OutputRules& rules);

// Bytes of the reply to a request of `rows` rows padded to `padded_len` columns; InvalidArgument
// when they are more than max_reply_bytes.
absl::StatusOr<std::int64_t> ReplyBytes(const WantedOutputs& wanted, std::int64_t rows,
                                        std::int64_t padded_len, const OutputRules& rules);

// Copies the rows of one request out of its batch's outputs, of which it holds sequences
// first_row.. and tokens first_token... FP32; last_hidden_state is [rows, padded_len, hidden_size]
// with zeros in the columns that were masked away, the others are [rows, columns].
std::vector<Tensor> TakeOutputs(const WantedOutputs& wanted, const PackedRows& packed,
                                const engine::Outputs& outputs, std::int64_t first_row,
                                std::int64_t first_token);

// Union: what a batch must compute for requests that want `a` and `b`.
engine::OutputSet Union(const engine::OutputSet& a, const engine::OutputSet& b);

}  // namespace reprise::server::pipeline
