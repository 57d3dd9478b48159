// A directory that appears under its name only when it is complete.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::engine::weights {

// Owns a temporary directory beside the one to come. Fill path(), then Commit; without Commit it is
// removed with all it holds. Move-only, not thread-safe.
class StagedDirectory {
 public:
  // Makes the parents of `target` where they are missing. AlreadyExists if `target` is anything but
  // absent or an empty directory: nothing is ever overwritten. InvalidArgument for a path without a
  // last part; the system's error if the directory cannot be made.
  static absl::StatusOr<StagedDirectory> Create(const std::string& target);
  ~StagedDirectory();
  StagedDirectory(StagedDirectory&& other) noexcept;  // leaves `other` empty
  StagedDirectory& operator=(StagedDirectory&& other) = delete;
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }  // where to put the files
  // Renames path() to the target. The system's error if someone else has put something there.
  absl::Status Commit();

 private:
  StagedDirectory(std::filesystem::path path, std::filesystem::path target);

  std::filesystem::path path_;  // empty: nothing to remove
  std::filesystem::path target_;
};

}  // namespace reprise::engine::weights
