// Log settings that change nothing but themselves.
#pragma once

#include "server/request/log_settings.h"
#include "server/request/mutex.h"

namespace reprise::server::testing {

// Thread-safe.
class FakeLog final : public LogControl {
 public:
  LogSettings Settings() const override {
    MutexLock lock(mutex_);
    return settings_;
  }
  absl::Status Change(const LogChange& change) override {
    MutexLock lock(mutex_);
    ++changes_;
    settings_.info = change.info.value_or(settings_.info);
    settings_.warning = change.warning.value_or(settings_.warning);
    settings_.error = change.error.value_or(settings_.error);
    settings_.verbose_level = change.verbose_level.value_or(settings_.verbose_level);
    return absl::OkStatus();
  }
  int changes() const {
    MutexLock lock(mutex_);
    return changes_;
  }

 private:
  mutable Mutex mutex_;
  LogSettings settings_ ABSL_GUARDED_BY(mutex_){.format = "json"};
  int changes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace reprise::server::testing
