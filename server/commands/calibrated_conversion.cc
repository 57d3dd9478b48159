#include "server/commands/calibrated_conversion.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/analysis/refit.h"
#include "engine/architectures/tensor_names.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"
#include "nlohmann/json.hpp"
#include "server/commands/conversion_budget.h"
#include "server/commands/progress_bar.h"
#include "server/commands/quantity_text.h"
#include "server/commands/whole_file.h"

namespace reprise::server::commands {
namespace {

namespace analysis = engine::analysis;
using engine::reuse::ReusePlan;

constexpr const char* kCriterionNames[] = {"sensitivity", "output-error", "similarity"};
constexpr const char* kBudgetKindNames[] = {"scores", "macs", "latency"};

absl::Status CheckAttention(const ReusePlan& plan) {
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    if (plan.has_attention(layer)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the plan ", plan.name(), " leaves out layer ", layer,
                     "'s attention, which no weights can stand in for; convert without --text"));
  }
  return absl::OkStatus();
}

// Over all held-out texts.
double MeanCosine(const std::vector<NamedQuality>& quality) {
  double sum = 0, texts = 0;
  for (const NamedQuality& one : quality) {
    sum += one.quality.mean_cosine * static_cast<double>(one.quality.texts);
    texts += static_cast<double>(one.quality.texts);
  }
  return sum / texts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CalibratedConverter>> CalibratedConverter::Create(
    const ConvertOptions& options) {
  std::unique_ptr<CalibratedConverter> converter(new CalibratedConverter(options));
  REPRISE_ASSIGN_OR_RETURN(converter->model_, LoadCheckpoint(options.model));
  const engine::architectures::BertConfig& config = converter->config();
  if (!config.plan.is_exact()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", options.model, "' is a reuse model already (", config.plan.name(),
                     "); expected an ordinary checkpoint"));
  }
  REPRISE_ASSIGN_OR_RETURN(converter->texts_,
                           DrawConversionTexts(options, config.max_position_embeddings));
  REPRISE_ASSIGN_OR_RETURN(converter->described_texts_, DescribeTexts(options, converter->texts_));
  // A given plan leaves nothing to choose, and then the dearest measure tells nothing.
  const bool chooses = options.budget.has_value() || !options.sweep.empty();
  REPRISE_ASSIGN_OR_RETURN(
      HeadCosts costs,
      HeadCosts::Measure(converter->model_, chooses ? options.criterion : Criterion::kOutputError,
                         converter->texts_.calibration, options.threads));
  converter->costs_ = std::make_unique<HeadCosts>(std::move(costs));
  for (const HeldOutTexts& held_out : converter->texts_.held_out) {
    REPRISE_ASSIGN_OR_RETURN(ModelAnswers answers,
                             AnswersOf(options.model, held_out.texts, options.threads));
    converter->original_answers_.push_back(std::move(answers));
  }
  return converter;
}

absl::StatusOr<const LatencyForecast*> CalibratedConverter::latency() {
  if (!latency_) {
    REPRISE_ASSIGN_OR_RETURN(
        latency_, LatencyForecast::Measure(options_.model, config(), options_.budget_length));
  }
  return &*latency_;
}

absl::StatusOr<ReusePlan> CalibratedConverter::ChooseForBudget(double share) {
  const int all_heads = config().num_layers * config().num_heads;
  if (options_.budget_kind == BudgetKind::kScores) {
    return costs_->Choose(static_cast<int>(std::lround(share * all_heads)));
  }
  const auto saved = [&](int reused) -> absl::StatusOr<double> {
    REPRISE_ASSIGN_OR_RETURN(const ReusePlan plan, costs_->Choose(reused));
    if (options_.budget_kind == BudgetKind::kMacs) {
      return MacsSaved(config(), plan, options_.budget_length);
    }
    REPRISE_ASSIGN_OR_RETURN(const LatencyForecast* forecast, latency());
    REPRISE_ASSIGN_OR_RETURN(const double ratio, forecast->Ratio(plan));
    return 1 - ratio;
  };
  REPRISE_ASSIGN_OR_RETURN(const int reused, LeastHeadsThatSave(config(), share, saved));
  return costs_->Choose(reused);
}

absl::StatusOr<CalibratedConversion> CalibratedConverter::Convert(const ReusePlan& plan,
                                                                  const std::string& directory) {
  REPRISE_RETURN_IF_ERROR(CheckAttention(plan));
  const analysis::HeadSources sources = costs_->Sources(plan);
  analysis::ConversionOptions conversion;
  conversion.input_directory = options_.model;
  conversion.output_directory = directory;
  conversion.plan = plan;
  conversion.value_scales.assign(sources.value_scale.begin(), sources.value_scale.end());
  if (options_.refit && !plan.is_exact()) {
    REPRISE_ASSIGN_OR_RETURN(conversion.replaced, Refit(sources));
  }
  CalibratedConversion converted;
  conversion.before_commit = [&](const std::string& staged) -> absl::Status {
    REPRISE_ASSIGN_OR_RETURN(converted.quality, Judge(staged));
    REPRISE_RETURN_IF_ERROR(CheckQuality(converted.quality));
    return WriteWholeFile((std::filesystem::path(staged) / "conversion.json").string(),
                          Describe(plan, converted.quality).dump(1));
  };
  REPRISE_ASSIGN_OR_RETURN(converted.report, analysis::ConvertStructurally(conversion));
  return converted;
}

// The refitted tensors by their names.
absl::StatusOr<std::map<std::string, std::vector<float>>> CalibratedConverter::Refit(
    const analysis::HeadSources& sources) const {
  namespace names = engine::architectures::tensor_names;
  REPRISE_ASSIGN_OR_RETURN(const auto checkpoint,
                           engine::weights::Checkpoint::Open(options_.model));
  ProgressBar progress("refitting");
  REPRISE_ASSIGN_OR_RETURN(
      auto projections,
      analysis::RefitOutputs(
          model_.config, model_.weights, *checkpoint, sources, texts_.calibration,
          {.threads = options_.threads,
           .ridge = options_.ridge,
           .progress = [&progress](int done, int total) { progress.Show(done, total); }}));
  std::map<std::string, std::vector<float>> replaced;
  for (int layer = 0; layer < config().num_layers; ++layer) {
    if (!projections[layer]) continue;
    replaced[names::Weight(names::AttentionOutput(layer))] = std::move(projections[layer]->weight);
    replaced[names::Bias(names::AttentionOutput(layer))] = std::move(projections[layer]->bias);
  }
  return replaced;
}

absl::StatusOr<std::vector<NamedQuality>> CalibratedConverter::Judge(
    const std::string& directory) const {
  std::vector<NamedQuality> quality;
  for (std::size_t i = 0; i < texts_.held_out.size(); ++i) {
    REPRISE_ASSIGN_OR_RETURN(const ModelAnswers answers,
                             AnswersOf(directory, texts_.held_out[i].texts, options_.threads));
    quality.push_back({texts_.held_out[i].name, Compare(original_answers_[i], answers)});
  }
  return quality;
}

absl::Status CalibratedConverter::CheckQuality(const std::vector<NamedQuality>& quality) const {
  const double mean = MeanCosine(quality);
  if (options_.force || mean >= options_.min_quality) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the mean cosine to the original's answers is ", mean,
      " on held-out texts, below --min-quality ", options_.min_quality,
      "; nothing was written: let fewer heads reuse, or give --force for a model to train on"));
}

nlohmann::ordered_json CalibratedConverter::Describe(
    const ReusePlan& plan, const std::vector<NamedQuality>& quality) const {
  nlohmann::ordered_json settings;
  if (options_.budget) {
    settings["budget"] = *options_.budget;
    settings["budget_kind"] = kBudgetKindNames[static_cast<int>(options_.budget_kind)];
    if (options_.budget_kind != BudgetKind::kScores) {
      settings["budget_length"] = options_.budget_length;
    }
    settings["chosen_by"] = kCriterionNames[static_cast<int>(options_.criterion)];
  } else {
    settings["plan"] = plan.name();
  }
  settings["refit"] = options_.refit ? "output" : "none";
  if (options_.refit) settings["ridge"] = options_.ridge;
  nlohmann::ordered_json description = {
      {"settings", settings},
      {"texts", described_texts_},
      {"reused_share",
       static_cast<double>(plan.num_reused_heads()) / (plan.num_layers() * plan.num_heads())},
      {"quality", nlohmann::ordered_json::object()},
      {"reused_heads", costs_->Describe(plan)}};
  for (const NamedQuality& one : quality) description["quality"][one.texts] = ToJson(one.quality);
  return description;
}

}  // namespace reprise::server::commands
