#include "server/commands/strategy_forecast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/executor.h"
#include "engine/layers/head_calibration.h"
#include "engine/reuse/score_cache.h"
#include "engine/reuse/strategy_cost.h"
#include "nlohmann/json.hpp"
#include "server/commands/text_table.h"

namespace reprise::server::commands {
namespace {

using engine::reuse::GroupHeads;
using engine::reuse::HeadTimes;
using engine::reuse::kReuseStrategies;
using engine::reuse::ReusePlan;
using engine::reuse::Strategy;

// What the engine knows of a plan when it chooses.
struct Chooser {
  const ReusePlan* plan;
  engine::DType score_format;
  std::int64_t score_cache_bytes;
  int threads;

  StrategyForecast Forecast(const HeadTimes& times) const {
    StrategyForecast forecast;
    forecast.seq_len = times.seq_len;
    forecast.milliseconds.assign(kReuseStrategies.size(), 0);
    const bool fits =
        engine::reuse::ScoreCache::SequenceBytes(times.seq_len, plan->num_score_slots(),
                                                 score_format) <= score_cache_bytes;
    for (const engine::reuse::LayerRange& group : plan->groups()) {
      const GroupHeads heads = engine::reuse::CountHeads(*plan, group);
      const int all = heads.sources + heads.others + heads.reused;
      forecast.exact_ms += Milliseconds(all * times.compute);
      if (heads.reused == 0) {
        for (double& total : forecast.milliseconds) total += Milliseconds(all * times.compute);
        forecast.auto_ms += Milliseconds(all * times.compute);
        continue;
      }
      for (std::size_t i = 0; i < kReuseStrategies.size(); ++i) {
        forecast.milliseconds[i] +=
            Milliseconds(GroupNanoseconds(kReuseStrategies[i], heads, times));
      }
      const Strategy best = CheapestStrategy(heads, times, {.stored = fits});
      forecast.chosen.push_back(best);
      forecast.auto_ms += Milliseconds(GroupNanoseconds(best, heads, times));
    }
    return forecast;
  }

  double Milliseconds(double core_nanoseconds) const { return 1e-6 * core_nanoseconds / threads; }
};

std::string Fixed(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

std::string ChosenText(const StrategyForecast& forecast) {
  std::set<std::string> names;
  for (const Strategy strategy : forecast.chosen) names.insert(std::string(Name(strategy)));
  return absl::StrJoin(names, ", ");
}

}  // namespace

absl::StatusOr<std::vector<StrategyForecast>> ForecastStrategies(
    const engine::architectures::BertConfig& config, engine::Precision resolved,
    const std::vector<std::int64_t>& seq_lens, int threads) {
  std::vector<StrategyForecast> forecasts;
  if (config.plan.num_score_slots() == 0) return forecasts;
  const engine::device::ExecutionScope scope;
  engine::device::ThreadTeam team({.threads = threads});
  const engine::DType format = engine::ElementType(resolved);
  const Chooser chooser = {&config.plan, format, engine::ExecutorOptions().score_cache_bytes,
                           threads};
  const std::int64_t longest = *std::max_element(seq_lens.begin(), seq_lens.end());
  const float scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim()));
  REPRISE_ASSIGN_OR_RETURN(
      const auto times,
      engine::layers::CalibratedHeadTimes(team,
                                          {.precision = format,
                                           .score_format = format,
                                           .head_dim = config.head_dim(),
                                           .scale = scale},
                                          config.num_heads, {longest, chooser.score_cache_bytes}));
  for (const std::int64_t seq_len : seq_lens) {
    forecasts.push_back(chooser.Forecast(engine::reuse::TimesAt(*times, seq_len)));
  }
  return forecasts;
}

nlohmann::ordered_json ToJson(const std::vector<StrategyForecast>& forecasts) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const StrategyForecast& forecast : forecasts) {
    nlohmann::ordered_json chosen = nlohmann::ordered_json::array();
    for (const Strategy strategy : forecast.chosen) chosen.push_back(Name(strategy));
    nlohmann::ordered_json row = {{"seq_len", forecast.seq_len}, {"exact_ms", forecast.exact_ms}};
    for (std::size_t i = 0; i < kReuseStrategies.size(); ++i) {
      row[absl::StrCat(std::string(Name(kReuseStrategies[i])), "_ms")] = forecast.milliseconds[i];
    }
    row["auto_ms"] = forecast.auto_ms;
    row["chosen"] = chosen;
    list.push_back(std::move(row));
  }
  return list;
}

std::string DrawForecasts(const std::vector<StrategyForecast>& forecasts) {
  std::vector<std::string> headings = {"length", "exact ms"};
  for (const Strategy strategy : kReuseStrategies) headings.emplace_back(Name(strategy));
  headings.insert(headings.end(), {"auto", "auto is"});
  std::vector<std::vector<std::string>> rows = {headings};
  for (const StrategyForecast& forecast : forecasts) {
    std::vector<std::string> row = {absl::StrCat(forecast.seq_len), Fixed(forecast.exact_ms)};
    for (const double milliseconds : forecast.milliseconds) row.push_back(Fixed(milliseconds));
    row.push_back(Fixed(forecast.auto_ms));
    row.push_back(ChosenText(forecast));
    rows.push_back(std::move(row));
  }
  std::vector<bool> left_aligned(headings.size(), false);
  left_aligned.back() = true;
  return DrawTable(rows, left_aligned);
}

}  // namespace reprise::server::commands
