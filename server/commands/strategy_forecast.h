// Which strategy the heads of a reuse plan will run with on this machine, and what each would cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/model.h"
#include "engine/reuse/strategy.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::server::commands {

// The attention of one sequence in all layers, by times of single heads: no projections.
struct StrategyForecast {
  std::int64_t seq_len = 0;
  double exact_ms = 0;               // every head computed
  std::vector<double> milliseconds;  // with each of engine::reuse::kReuseStrategies alone
  double auto_ms = 0;                // with what strategy auto chooses
  std::vector<engine::reuse::Strategy> chosen;  // of each group that reuses
};

// With the executor's defaults, `threads` threads and scores kept in the precision's own format.
// Measures heads where nothing is known of them (engine/layers/head_calibration.h). Empty for a
// plan that reuses nothing. ResourceExhausted when the memory cannot be had.
absl::StatusOr<std::vector<StrategyForecast>> ForecastStrategies(
    const engine::architectures::BertConfig& config, engine::Precision resolved,
    const std::vector<std::int64_t>& seq_lens, int threads);

nlohmann::ordered_json ToJson(const std::vector<StrategyForecast>& forecasts);
std::string DrawForecasts(const std::vector<StrategyForecast>& forecasts);

}  // namespace reprise::server::commands
