// How inferences ended: by status code and, where refused, by reason.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "server/metrics/series_set.h"
#include "server/request/observer.h"

namespace reprise::server::metrics {

// Of one model version, or of all that asks for a model but for no version of it: then `version` is
// empty. Every series exists, at zero, from construction. Thread-safe.
class OutcomeSeries {
 public:
  OutcomeSeries(MetricsRegistry& registry, const std::string& model, const std::string& version);

  void Count(const InferenceOutcome& outcome);

 private:
  static constexpr int kNumRefusals = 10;  // RefusalReason without kNone
  static constexpr int kNumCodes = 17;     // of absl::StatusCode, which are gRPC's

  SeriesSet series_;
  std::array<prometheus::Counter*, kNumCodes> by_code_;
  std::array<prometheus::Counter*, kNumRefusals> refused_;
};

}  // namespace reprise::server::metrics
