#include "engine/weights/staged_directory.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace reprise::engine::weights {
namespace {

namespace fs = std::filesystem;

absl::Status SystemError(const std::error_code& error, const std::string& what) {
  return absl::ErrnoToStatus(error.value(), what);
}

}  // namespace

absl::StatusOr<StagedDirectory> StagedDirectory::Create(const std::string& target) {
  std::error_code error;
  fs::path resolved = fs::weakly_canonical(fs::absolute(target, error), error);
  if (!error && !resolved.has_filename()) resolved = resolved.parent_path();  // "out/"
  if (error || target.empty() || !resolved.has_filename()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", target, "' cannot be written to; expected the path of a new directory"));
  }
  const bool exists = fs::exists(resolved, error);
  if (exists && !(fs::is_directory(resolved, error) && fs::is_empty(resolved, error))) {
    return absl::AlreadyExistsError(absl::StrCat(
        "'", target,
        "' exists already; expected a new or empty directory: remove it or choose another"));
  }
  fs::create_directories(resolved.parent_path(), error);
  const fs::path path = absl::StrCat(resolved.string(), ".partial-", getpid());
  if (error || !fs::create_directory(path, error)) {
    return SystemError(error ? error : std::make_error_code(std::errc::file_exists),
                       absl::StrCat("cannot create the directory '", path.string(), "'"));
  }
  return StagedDirectory(path, resolved);
}

StagedDirectory::StagedDirectory(fs::path path, fs::path target)
    : path_(std::move(path)), target_(std::move(target)) {}

StagedDirectory::~StagedDirectory() {
  std::error_code ignored;  // nothing more can be done about what cannot be removed
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

StagedDirectory::StagedDirectory(StagedDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})), target_(std::move(other.target_)) {}

absl::Status StagedDirectory::Commit() {
  // rename(2) replaces an empty directory and nothing else.
  if (std::rename(path_.c_str(), target_.c_str()) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot put the directory '", target_.string(), "' in place"));
  }
  path_.clear();
  return absl::OkStatus();
}

}  // namespace reprise::engine::weights
