// Finds the models of a repository on disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/repository/serving_options.h"

namespace reprise::server::repository {

struct RepositoryOptions {
  // A folder <path>/<model>/<version>/ with an optional <path>/<model>/model.json, or one
  // checkpoint directory (it holds config.json), which is then the only model, version 1.
  std::string path{};
  // Name of the model of a checkpoint directory; empty: the folder's name. InvalidArgument for a
  // repository of several models, whose folders name them.
  std::string model_name{};
  // What a model's own model.json does not say.
  ModelServingOptions defaults{};
};

struct VersionDirectory {
  std::int64_t version = 0;
  std::string path;     // a checkpoint directory
  std::string files{};  // differs once any file in it was changed
  bool operator==(const VersionDirectory&) const = default;
};

struct ModelDirectory {
  std::string name;
  ModelServingOptions options;
  std::vector<VersionDirectory> versions;  // to be loaded, ascending, not empty
};

// A name that is safe in a path, a metric label and a health service: letters, digits, '_', '-',
// '.', not starting with '.', at most 128 bytes, and not one of the health services' own names.
absl::Status CheckModelName(std::string_view name);

// Sorted by name. Hidden entries and plain files in the root are passed over; so are subfolders of
// a model that are not version numbers. Nothing that a model's folder holds may lead out of
// the repository, not even by a symbolic link; a checkpoint directory given by itself may hold
// links (as download caches do). NotFound or InvalidArgument names the path and what was expected
// there.
absl::StatusOr<std::vector<ModelDirectory>> FindModels(const RepositoryOptions& options);

// One model as its folder is now, with `policy` read in place of its model.json when given.
// InvalidArgument for a name or policy that cannot be, NotFound when there is no such folder,
// FailedPrecondition for what is wrong inside of it.
absl::StatusOr<ModelDirectory> FindModel(const RepositoryOptions& options, const std::string& name,
                                         const std::optional<std::string>& policy = {});

// The names of the folders that FindModel would look into, sorted; none when the repository cannot
// be read.
std::vector<std::string> ModelNames(const RepositoryOptions& options);

}  // namespace reprise::server::repository
