#include "server/repository/warm_up.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::repository {
namespace {

constexpr std::int64_t kShortTokens = 16;
constexpr std::int64_t kManyTokens = 512;

bool AllFinite(const engine::MatrixView<const float>& view) {
  for (std::int64_t row = 0; row < view.rows; ++row) {
    const float* values = view.row(row);
    if (!std::all_of(values, values + view.columns, [](float v) { return std::isfinite(v); })) {
      return false;
    }
  }
  return true;
}

absl::Status RunOnce(std::int64_t sequences, std::int64_t seq_len, const engine::OutputSet& outputs,
                     const std::stop_token& stop, batching::BatchRunner* runner,
                     batching::BatchTimes* times) {
  if (stop.stop_requested()) return absl::CancelledError("warm-up was stopped");
  std::vector<std::int32_t> cu_seqlens;
  for (std::int64_t i = 0; i <= sequences; ++i) {
    cu_seqlens.push_back(static_cast<std::int32_t>(i * seq_len));
  }
  const std::vector<std::int32_t> input_ids(sequences * seq_len, 0);
  engine::Outputs found;
  const SteadyClock::time_point start = SteadyClock::now();
  const absl::Status ran = runner->Run({cu_seqlens, input_ids, {}, {}}, outputs, &found);
  if (!ran.ok()) {
    return absl::InternalError(absl::StrCat("warm-up with ", sequences, " sequences of ", seq_len,
                                            " tokens failed: ", ran.message()));
  }
  times->Record(sequences * seq_len, SteadyClock::now() - start);
  if (AllFinite(found.last_hidden_state) && AllFinite(found.sentence_embedding) &&
      AllFinite(found.pooler_output) && AllFinite(found.logits)) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("warm-up with ", sequences, " sequences of ", seq_len,
                                          " tokens gave values that are not finite; check the "
                                          "model's weights"));
}

}  // namespace

absl::StatusOr<batching::BatchTimes> WarmUp(const ModelLimits& limits,
                                            const engine::OutputSet& outputs, int runs,
                                            const std::stop_token& stop,
                                            batching::BatchRunner* runner) {
  batching::BatchTimes times;
  const std::int64_t short_len = std::min(kShortTokens, limits.max_sequence_tokens);
  const std::int64_t many = std::clamp<std::int64_t>(
      std::min(kManyTokens, limits.max_batch_tokens) / short_len, 1, limits.max_batch_size);
  for (int run = 0; run < runs; ++run) {
    REPRISE_RETURN_IF_ERROR(RunOnce(1, 1, outputs, stop, runner, &times));
    REPRISE_RETURN_IF_ERROR(RunOnce(1, limits.max_sequence_tokens, outputs, stop, runner, &times));
    REPRISE_RETURN_IF_ERROR(RunOnce(many, short_len, outputs, stop, runner, &times));
  }
  return times;
}

}  // namespace reprise::server::repository
