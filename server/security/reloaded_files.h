// What some files say, read again when they change.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/check.h"
#include "server/request/mutex.h"
#include "server/security/small_file.h"

namespace reprise::server::security {

// Holds a T made from the contents of files. Contents decide what a change is, not times, so that
// links to folders that are swapped, as orchestrators mount secrets, count like files that are
// written. Thread-safe.
template <typename T>
class ReloadedFiles {
 public:
  using Contents = std::vector<std::string>;  // in the order of the paths
  using Parse = std::function<absl::StatusOr<T>(const Contents&)>;

  // Fails as reading or `parse` does. `parse` must be thread-safe.
  static absl::StatusOr<std::unique_ptr<ReloadedFiles>> Open(std::vector<std::string> paths,
                                                             Parse parse) {
    std::unique_ptr<ReloadedFiles> files(new ReloadedFiles(std::move(paths), std::move(parse)));
    REPRISE_ASSIGN_OR_RETURN(files->contents_, files->Read());
    REPRISE_ASSIGN_OR_RETURN(T value, files->parse_(files->contents_));
    MutexLock lock(files->mutex_);
    files->current_ = std::make_shared<const T>(std::move(value));
    return files;
  }

  // Never null.
  std::shared_ptr<const T> current() const {
    MutexLock lock(mutex_);
    return current_;
  }

  // True when the files said something new, which is current() now. An error when they cannot be
  // used, but only the first time in a row: current() stays. Called from one thread.
  absl::StatusOr<bool> Refresh() {
    absl::StatusOr<Contents> contents = Read();
    if (contents.ok() && *contents == contents_) {
      reported_.clear();
      return false;
    }
    // Contents that failed before are looked at again: a certificate may become valid by waiting.
    absl::StatusOr<T> value =
        contents.ok() ? parse_(*contents) : absl::StatusOr<T>(contents.status());
    if (!value.ok()) {
      const std::string failure = value.status().ToString();
      if (failure == std::exchange(reported_, failure)) return false;
      return value.status();
    }
    reported_.clear();
    contents_ = *std::move(contents);
    auto fresh = std::make_shared<const T>(*std::move(value));
    MutexLock lock(mutex_);
    current_ = std::move(fresh);
    return true;
  }

 private:
  ReloadedFiles(std::vector<std::string> paths, Parse parse)
      : paths_(std::move(paths)), parse_(std::move(parse)) {}

  absl::StatusOr<Contents> Read() const {
    Contents contents;
    for (const std::string& path : paths_) {
      REPRISE_ASSIGN_OR_RETURN(std::string text, ReadSmallFile(path));
      contents.push_back(std::move(text));
    }
    return contents;
  }

  const std::vector<std::string> paths_;
  const Parse parse_;
  Contents contents_;     // of the current value
  std::string reported_;  // the failure told last; empty: none since the files were usable

  mutable Mutex mutex_;
  std::shared_ptr<const T> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace reprise::server::security
