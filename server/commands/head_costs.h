// What it costs that one head takes another's scores, measured on texts.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/output_errors.h"
#include "engine/analysis/score_capture.h"
#include "engine/analysis/similarity_table.h"
#include "engine/reuse/reuse_plan.h"
#include "nlohmann/json_fwd.hpp"
#include "server/commands/conversion_options.h"
#include "server/commands/measure_heads.h"

namespace reprise::server::commands {

// Heads by their numbers, layer * heads + head. `model` must outlive it.
class HeadCosts {
 public:
  // Measures the similarity and output errors of all pairs on some of the texts, and, for that
  // criterion, the sensitivity of each head on fewer; says meanwhile how it goes.
  static absl::StatusOr<HeadCosts> Measure(const LoadedCheckpoint& model, Criterion criterion,
                                           const TokenizedTexts& calibration, int threads);

  // Of head `target` taking the scores of `source`, by the criterion.
  double cost(int target, int source) const;

  // The plan of `reused` heads whose costs are small.
  absl::StatusOr<engine::reuse::ReusePlan> Choose(int reused) const;

  // The heads of a plan, values scaled for the least output error. Requires: attention in every
  // layer.
  engine::analysis::HeadSources Sources(const engine::reuse::ReusePlan& plan) const;

  // Each reusing head of a plan, its source and what was measured of them.
  nlohmann::ordered_json Describe(const engine::reuse::ReusePlan& plan) const;

 private:
  HeadCosts(const LoadedCheckpoint& model, Criterion criterion,
            engine::analysis::SimilarityTable similarity, engine::analysis::OutputErrors errors)
      : model_(model),
        criterion_(criterion),
        similarity_(std::move(similarity)),
        errors_(std::move(errors)) {}

  const LoadedCheckpoint& model_;
  Criterion criterion_;
  engine::analysis::SimilarityTable similarity_;
  engine::analysis::OutputErrors errors_;
  std::vector<double> sensitivity_;  // of each head; empty: not measured
};

}  // namespace reprise::server::commands
