// The models that a benchmark compares: one checkpoint or config under several reuse plans.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model.h"

namespace reprise::server::commands {

struct BenchModelOptions {
  std::string checkpoint;   // a checkpoint directory; or
  std::string config_file;  // a config.json, with weights drawn at random
  std::uint64_t seed = 1;   // of random weights
  // Names of PlanByName, or "own": the plan that the checkpoint or config brings. Empty: "own" for
  // a reuse model, "exact" for any other.
  std::vector<std::string> plans;
  engine::DeviceId device = {};
  std::vector<engine::Precision> precisions = {engine::Precision::kAuto};
  std::string save_weights;  // directory to write the random model to; empty: none
};

struct BenchModel {
  std::string plan;     // as asked for
  std::string weights;  // "checkpoint", "random", or "checkpoint, query and key filled at random"
  std::shared_ptr<const engine::Model> model;
};

// Loads every plan in every precision, plans first. `progress` is called after each with how many
// are loaded and how many there will be.
//
// An ordinary checkpoint gets its plans applied in memory. A reuse checkpoint has only "own" and
// "exact"; the latter fills the query and key weights it lacks with random ones, good for speed and
// memory, not for answers. InvalidArgument or NotFound says what was wrong with plan, config or
// checkpoint.
absl::StatusOr<std::vector<BenchModel>> LoadBenchModels(
    const BenchModelOptions& options, const std::function<void(int done, int total)>& progress);

}  // namespace reprise::server::commands
