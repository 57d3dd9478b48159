#include "server/commands/conversion_budget.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_cost.h"
#include "engine/check.h"
#include "engine/reuse/cost_model.h"
#include "server/commands/bench_models.h"
#include "server/commands/bench_timing.h"
#include "server/commands/strategy_forecast.h"

namespace reprise::server::commands {
namespace {

using engine::architectures::BertConfig;
using engine::reuse::MultiplyAdds;
using engine::reuse::ReusePlan;

MultiplyAdds LayersMacs(const BertConfig& config, const ReusePlan& plan, std::int64_t seq_len) {
  return engine::reuse::ModelMultiplyAdds(
      engine::architectures::CostShape(config, /*has_pooler=*/false, /*num_labels=*/0), plan,
      {.source = seq_len});
}

}  // namespace

double MacsSaved(const BertConfig& config, const ReusePlan& plan, std::int64_t seq_len) {
  const auto exact = static_cast<double>(
      LayersMacs(config, *ReusePlan::Exact(config.num_layers, config.num_heads), seq_len).total());
  return 1 - static_cast<double>(LayersMacs(config, plan, seq_len).total()) / exact;
}

absl::StatusOr<LatencyForecast> LatencyForecast::Measure(const std::string& checkpoint,
                                                         const BertConfig& config,
                                                         std::int64_t seq_len) {
  BenchModelOptions model;
  model.checkpoint = checkpoint;
  model.plans = {"exact"};
  REPRISE_ASSIGN_OR_RETURN(const auto models, LoadBenchModels(model, [](int, int) {}));
  BenchTimingOptions timing;
  timing.seq_lens = {seq_len};
  timing.repetitions = 31;
  REPRISE_ASSIGN_OR_RETURN(const auto rows, TimeModels(models, timing, [](int, int) {}));
  LatencyForecast forecast;
  forecast.config_ = config;
  forecast.seq_len_ = seq_len;
  forecast.precision_ = rows[0].precision;
  forecast.total_ms_ = rows[0].median_ms;
  forecast.input_projection_ms_ =
      rows[0].phase_ms[static_cast<int>(engine::Phase::kInputProjection)];
  forecast.attention_ms_ = rows[0].phase_ms[static_cast<int>(engine::Phase::kAttention)];
  return forecast;
}

absl::StatusOr<double> LatencyForecast::Ratio(const ReusePlan& plan) const {
  BertConfig planned = config_;
  planned.plan = plan;
  REPRISE_ASSIGN_OR_RETURN(const auto forecasts,
                           ForecastStrategies(planned, precision_, {seq_len_}, /*threads=*/1));
  if (forecasts.empty()) return 1;  // nothing is reused
  const ReusePlan exact = *ReusePlan::Exact(config_.num_layers, config_.num_heads);
  const double projected =
      static_cast<double>(LayersMacs(config_, plan, seq_len_).input_projection) /
      static_cast<double>(LayersMacs(config_, exact, seq_len_).input_projection);
  const double attention = forecasts[0].auto_ms / forecasts[0].exact_ms;
  return (total_ms_ - (1 - projected) * input_projection_ms_ - (1 - attention) * attention_ms_) /
         total_ms_;
}

absl::StatusOr<int> LeastHeadsThatSave(
    const BertConfig& config, double share,
    const std::function<absl::StatusOr<double>(int reused_heads)>& saved) {
  int least = 0, most = (config.num_layers - 1) * config.num_heads;
  REPRISE_ASSIGN_OR_RETURN(const double all, saved(most));
  if (all < share) {
    return absl::InvalidArgumentError(
        absl::StrCat("the budget is ", share, ", but reuse by all ", most,
                     " heads after the first layer saves no more than ",
                     std::floor(1000 * all) / 1000, "; lower --budget, or see --budget-length"));
  }
  while (least < most) {
    const int middle = least + (most - least) / 2;
    REPRISE_ASSIGN_OR_RETURN(const double share_saved, saved(middle));
    if (share_saved >= share) {
      most = middle;
    } else {
      least = middle + 1;
    }
  }
  return least;
}

}  // namespace reprise::server::commands
