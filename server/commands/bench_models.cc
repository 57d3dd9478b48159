#include "server/commands/bench_models.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/analysis/save_checkpoint.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/exact_fill_source.h"
#include "engine/weights/json_file.h"
#include "engine/weights/planned_source.h"
#include "engine/weights/random_source.h"
#include "server/commands/plan_name.h"

namespace reprise::server::commands {
namespace {

namespace architectures = engine::architectures;
namespace weights = engine::weights;
using architectures::BertConfig;
using engine::reuse::ReusePlan;

BertConfig WithPlan(BertConfig config, ReusePlan plan) {
  config.plan = std::move(plan);
  return config;
}

// Where the weights of every plan come from: `stored` as the checkpoint has them, for the plan it
// brings, and `whole` for all other plans.
class BenchWeights {
 public:
  static absl::StatusOr<std::unique_ptr<BenchWeights>> Open(const BenchModelOptions& options) {
    auto opened = std::make_unique<BenchWeights>();
    opened->device_ = options.device;
    REPRISE_RETURN_IF_ERROR(options.checkpoint.empty() ? opened->OpenConfig(options)
                                                       : opened->OpenCheckpoint(options));
    return opened;
  }

  const BertConfig& config() const { return config_; }

  absl::StatusOr<BenchModel> Load(const std::string& plan_name, engine::Precision precision) const {
    BenchModel result{plan_name, label_, nullptr};
    if (plan_name == "own" && checkpoint_ != nullptr) {
      REPRISE_ASSIGN_OR_RETURN(result.model,
                               engine::Model::Create(config_, *checkpoint_, {precision, device_}));
      return result;
    }
    ReusePlan plan = config_.plan;
    if (plan_name != "own") {
      REPRISE_ASSIGN_OR_RETURN(plan, PlanByName(plan_name, config_.num_layers, config_.num_heads));
    }
    const BertConfig planned = WithPlan(config_, std::move(plan));
    if (checkpoint_ != nullptr && !config_.plan.is_exact()) {
      if (!planned.plan.is_exact()) {
        return absl::InvalidArgumentError(
            absl::StrCat("the checkpoint is a reuse model (plan ", config_.plan.name(),
                         ") and has no query and "
                         "key weights for the plan '",
                         plan_name, "'; expected the plan own or exact"));
      }
      result.weights = "checkpoint, query and key filled at random";
    }
    const weights::PlannedSource source(*whole_, architectures::PlannedRowBlocks(planned));
    REPRISE_ASSIGN_OR_RETURN(result.model,
                             engine::Model::Create(planned, source, {precision, device_}));
    return result;
  }

  // Requires: random weights.
  absl::Status Save(const std::string& directory) const {
    const weights::PlannedSource own(*whole_, architectures::PlannedRowBlocks(config_));
    return engine::analysis::SaveCheckpoint(config_, own, directory);
  }

 private:
  absl::Status OpenConfig(const BenchModelOptions& options) {
    REPRISE_ASSIGN_OR_RETURN(const auto json, weights::ReadJsonFile(options.config_file));
    REPRISE_ASSIGN_OR_RETURN(config_, architectures::ParseBertConfig(json));
    const architectures::BertParts parts{.pooler = true,
                                         .num_labels = static_cast<int>(config_.labels.size())};
    REPRISE_ASSIGN_OR_RETURN(random_, RandomWhole(parts, options.seed));
    whole_ = random_.get();
    label_ = "random";
    return absl::OkStatus();
  }

  absl::Status OpenCheckpoint(const BenchModelOptions& options) {
    REPRISE_ASSIGN_OR_RETURN(config_, architectures::ReadBertConfig(options.checkpoint));
    REPRISE_ASSIGN_OR_RETURN(checkpoint_, weights::Checkpoint::Open(options.checkpoint));
    whole_ = checkpoint_.get();
    label_ = "checkpoint";
    if (config_.plan.is_exact()) return absl::OkStatus();
    REPRISE_ASSIGN_OR_RETURN(const auto parts, architectures::FindParts(config_, *checkpoint_));
    REPRISE_ASSIGN_OR_RETURN(random_, RandomWhole(parts, options.seed));
    filled_ = std::make_unique<weights::ExactFillSource>(
        *checkpoint_, architectures::PlannedRowBlocks(config_), *random_);
    whole_ = filled_.get();
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<weights::RandomSource>> RandomWhole(
      const architectures::BertParts& parts, std::uint64_t seed) const {
    REPRISE_ASSIGN_OR_RETURN(ReusePlan exact,
                             ReusePlan::Exact(config_.num_layers, config_.num_heads));
    return std::make_unique<weights::RandomSource>(
        architectures::BertParameters(WithPlan(config_, std::move(exact)), parts), seed);
  }

  BertConfig config_;
  engine::DeviceId device_;
  std::string label_;
  std::unique_ptr<const weights::Checkpoint> checkpoint_;   // null for random weights
  std::unique_ptr<const weights::RandomSource> random_;     // null for an exact checkpoint
  std::unique_ptr<const weights::ExactFillSource> filled_;  // for a reuse checkpoint
  const weights::WeightSource* whole_ = nullptr;            // one of the three above
};

}  // namespace

absl::StatusOr<std::vector<BenchModel>> LoadBenchModels(
    const BenchModelOptions& options, const std::function<void(int done, int total)>& progress) {
  REPRISE_ASSIGN_OR_RETURN(const auto weights, BenchWeights::Open(options));
  if (!options.save_weights.empty()) REPRISE_RETURN_IF_ERROR(weights->Save(options.save_weights));
  std::vector<std::string> plans = options.plans;
  if (plans.empty()) plans.push_back(weights->config().plan.is_exact() ? "exact" : "own");
  const int total = static_cast<int>(plans.size() * options.precisions.size());
  std::vector<BenchModel> models;
  for (const std::string& plan : plans) {
    for (const engine::Precision precision : options.precisions) {
      REPRISE_ASSIGN_OR_RETURN(BenchModel model, weights->Load(plan, precision));
      models.push_back(std::move(model));
      progress(static_cast<int>(models.size()), total);
    }
  }
  return models;
}

}  // namespace reprise::server::commands
