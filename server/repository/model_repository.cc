#include "server/repository/model_repository.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "server/repository/model_policy.h"

namespace reprise::server::repository {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kReservedNames[] = {"readiness", "startup", "liveness"};
constexpr std::uintmax_t kMaxPolicyBytes = 1 << 20;

bool Hidden(const fs::path& path) { return path.filename().native().starts_with('.'); }

// The version that a folder's name says; nothing for any other folder. No leading zero: "01" and
// "1" would be the same version.
std::optional<std::int64_t> ParseVersion(const std::string& name) {
  std::int64_t version = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), version);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  if (version < 1 || name[0] == '0') return std::nullopt;
  return version;
}

// Entries of a folder, sorted, without hidden ones.
absl::StatusOr<std::vector<fs::path>> List(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!Hidden(it->path())) entries.push_back(it->path());
  }
  if (error) {
    return absl::NotFoundError(
        absl::StrCat("cannot read the folder '", folder.string(), "': ", error.message()));
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// Requires: `root` is canonical.
absl::Status CheckInside(const fs::path& path, const fs::path& root) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path.string(), "' cannot be followed: ", error.message()));
  }
  const auto [rest, unused] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  if (rest == root.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("'", path.string(), "' leads to '", real.string(),
                                                 "', outside of the repository '", root.string(),
                                                 "'; expected a path inside"));
}

// `seen` are the real folders gone into so far: links may go round in circles, and may lead to
// folders inside whose own entries lead out.
absl::Status CheckAllInside(const fs::path& folder, const fs::path& root,
                            std::set<fs::path>* seen) {
  REPRISE_RETURN_IF_ERROR(CheckInside(folder, root));
  std::error_code error;
  if (!seen->insert(fs::canonical(folder, error)).second) return absl::OkStatus();
  REPRISE_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, List(folder));
  for (const fs::path& entry : entries) {
    REPRISE_RETURN_IF_ERROR(CheckInside(entry, root));
    if (IsFolder(entry)) REPRISE_RETURN_IF_ERROR(CheckAllInside(entry, root, seen));
  }
  return absl::OkStatus();
}

// Names, sizes, places and times of change of all files under `folder`, links followed: a changed
// file shows in its time of change (ctime), which nobody can set.
void Describe(const fs::path& folder, std::set<fs::path>* seen, std::string* files) {
  std::error_code error;
  if (!seen->insert(fs::canonical(folder, error)).second) return;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) {
    struct stat found {};
    if (stat(entry.c_str(), &found) != 0) continue;
    absl::StrAppend(files, entry.filename().string(), "/", found.st_size, "/", found.st_dev, "/",
                    found.st_ino, "/", found.st_ctim.tv_sec, ".", found.st_ctim.tv_nsec, "\n");
    if (IsFolder(entry)) Describe(entry, seen, files);
  }
}

std::string FilesOf(const fs::path& folder) {
  std::string files;
  std::set<fs::path> seen;
  Describe(folder, &seen, &files);
  return files;
}

absl::StatusOr<ModelServingOptions> ReadPolicy(const fs::path& model, const fs::path& root,
                                               const ModelServingOptions& defaults) {
  const fs::path path = model / "model.json";
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return defaults;
  REPRISE_RETURN_IF_ERROR(CheckInside(path, root));
  if (const std::uintmax_t size = fs::file_size(path, error); error || size > kMaxPolicyBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path.string(), "' is not a file of at most ", kMaxPolicyBytes, " bytes"));
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read '", path.string(), "'"));
  absl::StatusOr<ModelServingOptions> options = ParseModelPolicy(text, defaults);
  if (options.ok()) return options;
  return absl::Status(options.status().code(),
                      absl::StrCat("'", path.string(), "': ", options.status().message()));
}

absl::StatusOr<std::vector<VersionDirectory>> FindVersions(const fs::path& model) {
  REPRISE_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, List(model));
  std::vector<VersionDirectory> versions;
  for (const fs::path& entry : entries) {
    const auto version = ParseVersion(entry.filename().string());
    if (version && IsFolder(entry)) versions.push_back({*version, entry.string()});
  }
  std::sort(versions.begin(), versions.end(),
            [](const auto& a, const auto& b) { return a.version < b.version; });
  if (!versions.empty()) return versions;
  return absl::NotFoundError(
      absl::StrCat("the model folder '", model.string(),
                   "' has no version; expected a subfolder such as '1' that holds config.json"));
}

absl::StatusOr<std::vector<VersionDirectory>> Choose(std::vector<VersionDirectory> versions,
                                                     const VersionChoice& choice,
                                                     const fs::path& model) {
  if (choice.kind == VersionChoice::Kind::kAll) return versions;
  if (choice.kind == VersionChoice::Kind::kLatest) {
    const auto surplus = static_cast<std::int64_t>(versions.size()) - choice.latest;
    if (surplus > 0) versions.erase(versions.begin(), versions.begin() + surplus);
    return versions;
  }
  std::vector<VersionDirectory> chosen;
  for (const std::int64_t listed : choice.listed) {
    const auto found =
        std::find_if(versions.begin(), versions.end(),
                     [listed](const VersionDirectory& v) { return v.version == listed; });
    if (found == versions.end()) {
      return absl::NotFoundError(absl::StrCat("the model folder '", model.string(),
                                              "' has no version ", listed,
                                              ", which its model.json lists"));
    }
    chosen.push_back(*found);
  }
  return chosen;
}

// With `options`, whatever model.json says.
absl::StatusOr<ModelDirectory> ReadModel(const fs::path& folder, const fs::path& root,
                                         const ModelServingOptions& defaults,
                                         const std::optional<ModelServingOptions>& options = {}) {
  ModelDirectory model;
  model.name = folder.filename().string();
  REPRISE_RETURN_IF_ERROR(CheckModelName(model.name));
  REPRISE_RETURN_IF_ERROR(CheckInside(folder, root));
  if (options.has_value()) {
    model.options = *options;
  } else {
    REPRISE_ASSIGN_OR_RETURN(model.options, ReadPolicy(folder, root, defaults));
  }
  REPRISE_ASSIGN_OR_RETURN(std::vector<VersionDirectory> versions, FindVersions(folder));
  REPRISE_ASSIGN_OR_RETURN(model.versions,
                           Choose(std::move(versions), model.options.versions, folder));
  for (VersionDirectory& version : model.versions) {
    std::set<fs::path> seen;
    REPRISE_RETURN_IF_ERROR(CheckAllInside(version.path, root, &seen));
    version.files = FilesOf(version.path);
  }
  return model;
}

absl::StatusOr<fs::path> OpenRoot(const RepositoryOptions& options) {
  std::error_code error;
  const fs::path root = fs::canonical(options.path, error);
  if (!error && IsFolder(root)) return root;
  return absl::NotFoundError(
      absl::StrCat("the model repository '", options.path, "' is not a folder that can be read"));
}

bool IsCheckpoint(const fs::path& root) { return Exists(root / "config.json"); }

std::string CheckpointName(const fs::path& root, const RepositoryOptions& options) {
  return options.model_name.empty() ? root.filename().string() : options.model_name;
}

// Requires: `root` is canonical and IsCheckpoint.
absl::StatusOr<ModelDirectory> BareCheckpoint(const fs::path& root,
                                              const RepositoryOptions& options) {
  ModelDirectory model;
  model.name = CheckpointName(root, options);
  REPRISE_RETURN_IF_ERROR(CheckModelName(model.name));
  model.options = options.defaults;
  model.versions = {{1, root.string(), FilesOf(root)}};
  return model;
}

// The model's folder as it is; NotFound when there is none.
absl::StatusOr<ModelDirectory> ReadNamed(const fs::path& root, const RepositoryOptions& options,
                                         const std::string& name,
                                         const std::optional<ModelServingOptions>& policy) {
  const absl::Status missing =
      absl::NotFoundError(absl::StrCat("the model repository has no model '", name, "'"));
  if (IsCheckpoint(root)) {
    if (name != CheckpointName(root, options)) return missing;
    REPRISE_ASSIGN_OR_RETURN(ModelDirectory model, BareCheckpoint(root, options));
    if (policy.has_value()) model.options = *policy;
    return model;
  }
  std::error_code error;
  if (!IsFolder(root / name) && !fs::is_symlink(root / name, error)) return missing;
  absl::StatusOr<ModelDirectory> model = ReadModel(root / name, root, options.defaults, policy);
  if (model.ok()) return model;
  return absl::FailedPreconditionError(model.status().message());
}

}  // namespace

absl::Status CheckModelName(std::string_view name) {
  const bool safe = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  if (name.empty() || name.size() > 128 || name.front() == '.' || !safe) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", std::string(name), "' cannot name a model; expected 1 to 128 letters, digits, '_', ",
        "'-' and '.', not starting with '.'. Rename the folder, or pass --model-name"));
  }
  if (std::find(std::begin(kReservedNames), std::end(kReservedNames), name) !=
      std::end(kReservedNames)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", std::string(name), "' cannot name a model: it is a name of the health service"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ModelDirectory>> FindModels(const RepositoryOptions& options) {
  REPRISE_RETURN_IF_ERROR(Validate(options.defaults));
  REPRISE_ASSIGN_OR_RETURN(const fs::path root, OpenRoot(options));
  std::vector<ModelDirectory> models;
  if (IsCheckpoint(root)) {
    REPRISE_ASSIGN_OR_RETURN(ModelDirectory model, BareCheckpoint(root, options));
    models.push_back(std::move(model));
    return models;
  }
  if (!options.model_name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--model-name '", options.model_name, "' names a single checkpoint directory, and '",
        root.string(), "' holds no config.json; its subfolders name its models"));
  }
  REPRISE_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, List(root));
  for (const fs::path& entry : entries) {
    std::error_code ignored;
    // A link that leads nowhere is a mistake, not a file to pass over.
    if (!IsFolder(entry) && !fs::is_symlink(entry, ignored)) continue;
    REPRISE_ASSIGN_OR_RETURN(ModelDirectory model, ReadModel(entry, root, options.defaults));
    models.push_back(std::move(model));
  }
  if (!models.empty()) return models;
  return absl::NotFoundError(absl::StrCat(
      "the model repository '", root.string(),
      "' holds no model; expected <model>/<version>/config.json, or config.json itself"));
}

absl::StatusOr<ModelDirectory> FindModel(const RepositoryOptions& options, const std::string& name,
                                         const std::optional<std::string>& policy) {
  REPRISE_RETURN_IF_ERROR(CheckModelName(name));
  std::optional<ModelServingOptions> parsed;
  if (policy.has_value()) {
    absl::StatusOr<ModelServingOptions> read = ParseModelPolicy(*policy, options.defaults);
    if (!read.ok()) {
      return absl::Status(read.status().code(),
                          absl::StrCat("parameter 'config': ", read.status().message()));
    }
    parsed = *std::move(read);
  }
  REPRISE_ASSIGN_OR_RETURN(const fs::path root, OpenRoot(options));
  return ReadNamed(root, options, name, parsed);
}

std::vector<std::string> ModelNames(const RepositoryOptions& options) {
  const absl::StatusOr<fs::path> root = OpenRoot(options);
  if (!root.ok()) return {};
  if (IsCheckpoint(*root)) return {CheckpointName(*root, options)};
  const absl::StatusOr<std::vector<fs::path>> entries = List(*root);
  if (!entries.ok()) return {};
  std::vector<std::string> names;
  for (const fs::path& entry : *entries) {
    if (IsFolder(entry)) names.push_back(entry.filename().string());
  }
  return names;
}

}  // namespace reprise::server::repository
