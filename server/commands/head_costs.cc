#include "server/commands/head_costs.h"

#include <cstddef>

#include "engine/analysis/source_choice.h"
#include "engine/check.h"
#include "nlohmann/json.hpp"
#include "server/commands/conversion_texts.h"

namespace reprise::server::commands {
namespace {

// Sums over all pairs of heads settle with so many texts; running each head's replacement is
// dearer, and its mean settles sooner.
constexpr std::size_t kErrorTexts = 1000;
constexpr std::size_t kSensitivityTexts = 300;

int SourceOf(const engine::reuse::ReusePlan& plan, int head) {
  const engine::reuse::HeadRef source =
      plan.source(head / plan.num_heads(), head % plan.num_heads());
  return source.layer * plan.num_heads() + source.head;
}

}  // namespace

absl::StatusOr<HeadCosts> HeadCosts::Measure(const LoadedCheckpoint& model, Criterion criterion,
                                             const TokenizedTexts& calibration, int threads) {
  const TokenizedTexts texts = EverySoMany(calibration, kErrorTexts);
  REPRISE_ASSIGN_OR_RETURN(engine::analysis::HeadStatistics statistics,
                           MeasureHeads(model, texts, threads));
  HeadCosts costs(model, criterion, std::move(statistics.similarity), std::move(statistics.errors));
  if (criterion != Criterion::kSensitivity) return costs;
  REPRISE_ASSIGN_OR_RETURN(
      costs.sensitivity_,
      MeasureHeadSensitivity(model, costs.errors_, EverySoMany(texts, kSensitivityTexts), threads));
  return costs;
}

double HeadCosts::cost(int target, int source) const {
  switch (criterion_) {
    case Criterion::kSimilarity:
      return 1 - similarity_.mean(target, source);
    case Criterion::kOutputError:
      return errors_.error(target, source);
    case Criterion::kSensitivity:
      return sensitivity_[target] * errors_.error(target, source);
  }
  REPRISE_CHECK(false);
  return 0;
}

absl::StatusOr<engine::reuse::ReusePlan> HeadCosts::Choose(int reused) const {
  return engine::analysis::ChooseSources(
      model_.config.num_layers, model_.config.num_heads, reused,
      [this](int target, int source) { return cost(target, source); });
}

engine::analysis::HeadSources HeadCosts::Sources(const engine::reuse::ReusePlan& plan) const {
  engine::analysis::HeadSources sources;
  sources.value_bias = model_.outputs.value_bias;
  for (int head = 0; head < plan.num_layers() * plan.num_heads(); ++head) {
    const int source = SourceOf(plan, head);
    sources.source.push_back(source);
    sources.value_scale.push_back(source == head ? 1.0f
                                                 : static_cast<float>(errors_.scale(head, source)));
  }
  return sources;
}

nlohmann::ordered_json HeadCosts::Describe(const engine::reuse::ReusePlan& plan) const {
  nlohmann::ordered_json described = nlohmann::ordered_json::array();
  const int heads = plan.num_heads();
  for (int head = 0; head < plan.num_layers() * heads; ++head) {
    const int source = SourceOf(plan, head);
    if (source == head) continue;
    nlohmann::ordered_json one = {{"layer", head / heads},
                                  {"head", head % heads},
                                  {"source_layer", source / heads},
                                  {"source_head", source % heads},
                                  {"similarity", similarity_.mean(head, source)},
                                  {"output_error", errors_.error(head, source)},
                                  {"value_scale", errors_.scale(head, source)}};
    if (!sensitivity_.empty()) one["sensitivity"] = sensitivity_[head];
    described.push_back(std::move(one));
  }
  return described;
}

}  // namespace reprise::server::commands
