#include "server/metrics/triton_metrics.h"

#include <chrono>

#include "server/metrics/metric_catalogue.h"
#include "server/metrics/metric_family.h"

namespace reprise::server::metrics {
namespace {

double Microseconds(const CountedTime& time) {
  return static_cast<double>(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time).count());
}

// One series per version, of what `value` makes of its statistics.
template <typename Value>
prometheus::MetricFamily PerVersion(const MetricDefinition& definition,
                                    const std::vector<VersionStatistics>& versions, Value value) {
  prometheus::MetricFamily family = MakeFamily(definition);
  for (const VersionStatistics& each : versions) {
    AddSeries(definition, {each.model, each.version}, static_cast<double>(value(each)), &family);
  }
  return family;
}

prometheus::MetricFamily Failures(const std::vector<VersionStatistics>& versions) {
  const MetricDefinition& definition = catalogue::kNvInferenceRequestFailure;
  prometheus::MetricFamily family = MakeFamily(definition);
  for (const VersionStatistics& each : versions) {
    const auto add = [&](const char* reason, std::int64_t count) {
      AddSeries(definition, {each.model, each.version, reason}, static_cast<double>(count),
                &family);
    };
    add("REJECTED", each.failures.rejected);
    add("CANCELED", each.failures.cancelled);
    add("BACKEND", each.failures.backend);
    add("OTHER", each.failures.other);
  }
  return family;
}

}  // namespace

std::vector<prometheus::MetricFamily> TritonMetrics::Collect() const {
  using Version = VersionStatistics;
  const std::vector<Version> versions = source_.Statistics();
  const auto per_version = [&versions](const MetricDefinition& definition, auto value) {
    return PerVersion(definition, versions, value);
  };
  namespace rows = catalogue;
  return {
      per_version(rows::kNvInferenceRequestSuccess,
                  [](const Version& version) { return version.success.count; }),
      Failures(versions),
      per_version(rows::kNvInferenceCount,
                  [](const Version& version) { return version.inference_count; }),
      per_version(rows::kNvInferenceExecCount,
                  [](const Version& version) { return version.execution_count; }),
      per_version(rows::kNvInferenceRequestDurationUs,
                  [](const Version& version) { return Microseconds(version.success); }),
      per_version(rows::kNvInferenceQueueDurationUs,
                  [](const Version& version) { return Microseconds(version.queue); }),
      per_version(rows::kNvInferenceComputeInputDurationUs,
                  [](const Version& version) { return Microseconds(version.compute_input); }),
      per_version(rows::kNvInferenceComputeInferDurationUs,
                  [](const Version& version) { return Microseconds(version.compute_infer); }),
      per_version(rows::kNvInferenceComputeOutputDurationUs,
                  [](const Version& version) { return Microseconds(version.compute_output); }),
      per_version(rows::kNvInferencePendingRequestCount,
                  [](const Version& version) { return version.pending; }),
      per_version(rows::kNvModelLoadDurationSecs,
                  [](const Version& version) {
                    return std::chrono::duration<double>(version.load_time).count();
                  }),
  };
}

}  // namespace reprise::server::metrics
