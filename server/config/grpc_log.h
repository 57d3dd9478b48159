// What gRPC itself has to say, as lines of our log.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "server/request/inference_request.h"
#include "server/request/mutex.h"

namespace reprise::server::config {

// Sends gRPC's messages to the log from now on, with where they came from: its errors as warnings,
// all else at level debug. Connections that fail, which strangers can make as often as they like,
// must not fill the log: of the warnings one a second is written, with how many were left out.
void InstallGrpcLog();

// Lets one event a second through. Thread-safe.
class OncePerSecond {
 public:
  // How many events were held back since the last one let through; nothing: hold this one back.
  std::optional<std::int64_t> Pass(SteadyClock::time_point now);

 private:
  Mutex mutex_;
  std::optional<SteadyClock::time_point> last_ ABSL_GUARDED_BY(mutex_);
  std::int64_t held_back_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace reprise::server::config
