// A reuse checkpoint whose weights are adjusted on texts, and what it is worth.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/convert.h"
#include "engine/reuse/reuse_plan.h"
#include "nlohmann/json.hpp"
#include "server/commands/conversion_budget.h"
#include "server/commands/conversion_options.h"
#include "server/commands/conversion_quality.h"
#include "server/commands/conversion_texts.h"
#include "server/commands/head_costs.h"
#include "server/commands/measure_heads.h"

namespace reprise::server::commands {

// Of each set of held-out texts, by its name.
struct NamedQuality {
  std::string texts;
  ConversionQuality quality;
};

struct CalibratedConversion {
  engine::analysis::ConversionReport report;
  std::vector<NamedQuality> quality;
};

// Converts one model, once or several times, by what was measured of it once.
class CalibratedConverter {
 public:
  // Loads the model, draws the texts, and measures heads; says meanwhile how it goes.
  // InvalidArgument for a model that reuses already and for texts that are too few; the errors of
  // reading and measuring.
  static absl::StatusOr<std::unique_ptr<CalibratedConverter>> Create(const ConvertOptions& options);

  const engine::architectures::BertConfig& config() const { return model_.config; }
  const HeadCosts& costs() const { return *costs_; }

  // What the original takes, measured when it is first asked for.
  absl::StatusOr<const LatencyForecast*> latency();

  // The plan that saves `share` of what the options' budget kind counts.
  absl::StatusOr<engine::reuse::ReusePlan> ChooseForBudget(double share);

  // Scales values and, unless the options say no, refits output projections for `plan`, writes
  // `directory` and judges it. FailedPrecondition when it is not as good as the options ask, and
  // then, as with any other error, there is nothing at `directory`.
  absl::StatusOr<CalibratedConversion> Convert(const engine::reuse::ReusePlan& plan,
                                               const std::string& directory);

 private:
  explicit CalibratedConverter(const ConvertOptions& options) : options_(options) {}
  absl::StatusOr<std::map<std::string, std::vector<float>>> Refit(
      const engine::analysis::HeadSources& sources) const;
  absl::StatusOr<std::vector<NamedQuality>> Judge(const std::string& directory) const;
  absl::Status CheckQuality(const std::vector<NamedQuality>& quality) const;
  nlohmann::ordered_json Describe(const engine::reuse::ReusePlan& plan,
                                  const std::vector<NamedQuality>& quality) const;

  const ConvertOptions options_;
  LoadedCheckpoint model_;
  ConversionTexts texts_;
  nlohmann::ordered_json described_texts_;
  std::unique_ptr<HeadCosts> costs_;
  std::optional<LatencyForecast> latency_;
  std::vector<ModelAnswers> original_answers_;  // to each set of held-out texts
};

}  // namespace reprise::server::commands
