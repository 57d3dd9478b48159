#include "server/wire/server_report.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace reprise::server::wire {
namespace {

constexpr std::string_view kExtensions[] = {
    "binary_tensor_data",  "classification",   "logging",
    "model_configuration", "model_repository", "model_repository(unload_dependents)",
    "schedule_policy",     "statistics"};

std::string_view StateName(ModelState state) {
  switch (state) {
    case ModelState::kUnknown:
      return "UNKNOWN";
    case ModelState::kReady:
      return "READY";
    case ModelState::kUnavailable:
      return "UNAVAILABLE";
    case ModelState::kLoading:
      return "LOADING";
    case ModelState::kUnloading:
      return "UNLOADING";
  }
  return "UNKNOWN";
}

}  // namespace

inference::ServerMetadataResponse ToServerMetadata() {
  inference::ServerMetadataResponse metadata;
  metadata.set_name("reprise");
  metadata.set_version(REPRISE_VERSION);
  for (const std::string_view extension : kExtensions) {
    metadata.add_extensions(std::string(extension));
  }
  return metadata;
}

absl::StatusOr<inference::RepositoryIndexResponse> ToRepositoryIndex(
    const std::vector<ModelIndexEntry>& index, const inference::RepositoryIndexRequest& request) {
  if (!request.repository_name().empty()) {
    return absl::UnimplementedError(
        absl::StrCat("repository_name is '", request.repository_name(),
                     "', expected empty: this server has one repository without a name"));
  }
  inference::RepositoryIndexResponse reply;
  for (const ModelIndexEntry& entry : index) {
    if (request.ready() && entry.state != ModelState::kReady) continue;
    auto* model = reply.add_models();
    model->set_name(entry.name);
    model->set_version(entry.version);
    model->set_state(std::string(StateName(entry.state)));
    model->set_reason(entry.reason);
  }
  return reply;
}

}  // namespace reprise::server::wire
