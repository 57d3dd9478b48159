#include "server/metrics/outcome_series.h"

#include <algorithm>

#include "engine/check.h"
#include "server/metrics/metric_catalogue.h"
#include "server/request/refusal_name.h"

namespace reprise::server::metrics {

OutcomeSeries::OutcomeSeries(MetricsRegistry& registry, const std::string& model,
                             const std::string& version)
    : series_(registry) {
  // In the catalogue's order, which is that of the enums that index them.
  const auto fill = [&](const MetricDefinition& definition, auto& counters) {
    const std::span<const std::string_view> values = definition.labels.back().values;
    REPRISE_CHECK(values.size() == counters.size());
    for (std::size_t i = 0; i < counters.size(); ++i) {
      counters[i] = &series_.Counter(definition, {model, version, std::string(values[i])});
    }
  };
  fill(catalogue::kInferencesTotal, by_code_);
  fill(catalogue::kRefusedTotal, refused_);
  const std::span<const std::string_view> reasons = catalogue::kRefusedTotal.labels.back().values;
  REPRISE_CHECK(
      std::equal(reasons.begin(), reasons.end(), kRefusalNames.begin() + 1, kRefusalNames.end()));
}

void OutcomeSeries::Count(const InferenceOutcome& outcome) {
  // A status may carry any integer; only the 17 codes of gRPC have series.
  const auto code = static_cast<std::size_t>(outcome.code);
  by_code_[code < kNumCodes ? code : static_cast<std::size_t>(absl::StatusCode::kUnknown)]
      ->Increment();
  if (outcome.refusal != RefusalReason::kNone) {
    refused_[static_cast<std::size_t>(outcome.refusal) - 1]->Increment();
  }
}

}  // namespace reprise::server::metrics
