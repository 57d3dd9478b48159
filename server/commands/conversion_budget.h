// How many heads have to reuse scores for a budget.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/precision.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::server::commands {

// Share of the multiply-adds of all layers that a plan saves for one text of `seq_len` tokens.
double MacsSaved(const engine::architectures::BertConfig& config,
                 const engine::reuse::ReusePlan& plan, std::int64_t seq_len);

// Predicts how long a model takes under a plan from what its exact version takes: the input
// projection's time goes with its columns, attention's with the times of single heads under the
// strategy that is the cheapest (strategy_forecast.h), everything else stays.
class LatencyForecast {
 public:
  // Times the checkpoint as it is, on one text of `seq_len` tokens, in the precision that auto is
  // on this machine, with one thread; a second or so.
  static absl::StatusOr<LatencyForecast> Measure(const std::string& checkpoint,
                                                 const engine::architectures::BertConfig& config,
                                                 std::int64_t seq_len);
  // Time under `plan` by that of the exact model. ResourceExhausted without memory.
  absl::StatusOr<double> Ratio(const engine::reuse::ReusePlan& plan) const;

 private:
  engine::architectures::BertConfig config_;
  std::int64_t seq_len_ = 0;
  engine::Precision precision_ = engine::Precision::kF32;  // resolved
  double total_ms_ = 0;
  double input_projection_ms_ = 0;
  double attention_ms_ = 0;
};

// The least number of reusing heads that save `share`, by what `saved` says of a number, which must
// not fall. InvalidArgument when not even all heads after the first layer save as much, with what
// they do save; the errors of `saved`.
absl::StatusOr<int> LeastHeadsThatSave(
    const engine::architectures::BertConfig& config, double share,
    const std::function<absl::StatusOr<double>(int reused_heads)>& saved);

}  // namespace reprise::server::commands
