#include "engine/batch_check.h"

#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::engine {
namespace {

absl::Status CheckLengths(const RaggedBatch& batch, const architectures::BertConfig& config,
                          const BatchLimits& limits) {
  if (batch.cu_seqlens.size() < 2) {
    return absl::InvalidArgumentError("the batch is empty; expected at least one sequence");
  }
  if (batch.batch_size() > limits.max_sequences) {
    return absl::InvalidArgumentError(absl::StrCat("the batch has ", batch.batch_size(),
                                                   " sequences; this executor takes at most ",
                                                   limits.max_sequences));
  }
  if (batch.cu_seqlens[0] != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cu_seqlens starts with ", batch.cu_seqlens[0], "; expected 0"));
  }
  for (std::int64_t s = 0; s < batch.batch_size(); ++s) {
    const std::int64_t length =
        std::int64_t{batch.cu_seqlens[s + 1]} - std::int64_t{batch.cu_seqlens[s]};
    if (length < 1 || length > config.max_position_embeddings) {
      return absl::InvalidArgumentError(absl::StrCat("sequence ", s, " has ", length,
                                                     " tokens; expected 1 to ",
                                                     config.max_position_embeddings));
    }
  }
  if (batch.total_tokens() > limits.max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("the batch has ", batch.total_tokens(),
                                                   " tokens; this executor takes at most ",
                                                   limits.max_tokens));
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const char* name, std::size_t found, std::int64_t tokens, bool optional) {
  if (static_cast<std::int64_t>(found) == tokens || (optional && found == 0)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " has ", found, " values; expected one for each of ", tokens, " tokens"));
}

absl::Status CheckRange(const char* name, std::span<const std::int32_t> values, std::int64_t end) {
  for (std::size_t t = 0; t < values.size(); ++t) {
    if (values[t] >= 0 && values[t] < end) continue;
    return absl::InvalidArgumentError(absl::StrCat(name, " of token ", t, " is ", values[t],
                                                   "; expected a value from 0 to ", end - 1));
  }
  return absl::OkStatus();
}

absl::Status CheckPositionsRise(const RaggedBatch& batch) {
  if (batch.position_ids.empty()) return absl::OkStatus();
  for (std::int64_t s = 0; s < batch.batch_size(); ++s) {
    for (std::int64_t t = batch.cu_seqlens[s] + 1; t < batch.cu_seqlens[s + 1]; ++t) {
      if (batch.position_ids[t] > batch.position_ids[t - 1]) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("position_ids of token ", t, " is ", batch.position_ids[t], " after ",
                       batch.position_ids[t - 1], "; expected rising values within a sequence"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckBatch(const RaggedBatch& batch, const architectures::BertConfig& config,
                        const BatchLimits& limits) {
  REPRISE_RETURN_IF_ERROR(CheckLengths(batch, config, limits));
  const std::int64_t tokens = batch.total_tokens();
  REPRISE_RETURN_IF_ERROR(CheckSize("input_ids", batch.input_ids.size(), tokens, false));
  REPRISE_RETURN_IF_ERROR(CheckSize("token_type_ids", batch.token_type_ids.size(), tokens, true));
  REPRISE_RETURN_IF_ERROR(CheckSize("position_ids", batch.position_ids.size(), tokens, true));
  REPRISE_RETURN_IF_ERROR(CheckRange("input_ids", batch.input_ids, config.vocab_size));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("token_type_ids", batch.token_type_ids, config.type_vocab_size));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("position_ids", batch.position_ids, config.max_position_embeddings));
  return CheckPositionsRise(batch);
}

}  // namespace reprise::engine
