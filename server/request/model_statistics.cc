#include "server/request/model_statistics.h"

#include <utility>

namespace reprise::server {

absl::StatusOr<std::vector<VersionStatistics>> SelectStatistics(const StatisticsSource& source,
                                                                const ServingCore& core,
                                                                const std::string& model,
                                                                const std::string& version) {
  std::string number = version;
  if (!model.empty()) {
    const absl::StatusOr<ModelDescription> description = core.Describe(model, version);
    if (!description.ok()) return description.status();
    if (!version.empty()) number = description->version;  // "01" is version 1
  }
  std::vector<VersionStatistics> selected;
  for (VersionStatistics& each : source.Statistics()) {
    const bool asked =
        (model.empty() || each.model == model) && (number.empty() || each.version == number);
    if (asked && each.ready) selected.push_back(std::move(each));
  }
  return selected;
}

}  // namespace reprise::server
