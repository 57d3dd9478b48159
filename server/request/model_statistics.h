// What each version of a model has done since the server started, for whoever asks by whatever
// protocol.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/request/serving_core.h"

namespace reprise::server {

// How often something happened, and how long it took in all.
struct CountedTime {
  std::int64_t count = 0;
  std::chrono::nanoseconds time{0};

  void Add(std::chrono::nanoseconds duration) {
    ++count;
    time += duration;
  }
};

// All batches of one size together.
struct BatchSizeStatistics {
  std::int64_t rows = 0;
  CountedTime input{};   // gathering the batch
  CountedTime infer{};   // running it
  CountedTime output{};  // taking it apart, counted by batch
};

// Why requests failed, in the words that Triton has for it.
struct FailureCounts {
  std::int64_t rejected = 0;   // no room in the queue, or no time left
  std::int64_t cancelled = 0;  // the caller gave up
  std::int64_t backend = 0;    // the engine could not run it
  std::int64_t other = 0;      // the request was wrong, the server stops, ...
};

// Request times count requests that were answered well, each with the whole time of the batch that
// it was in; `batches` counts each batch once.
struct VersionStatistics {
  std::string model{};
  std::string version{};
  bool ready = false;
  std::chrono::system_clock::time_point last_inference{};  // the epoch: never
  std::int64_t inference_count = 0;                        // sequences of the answered requests
  std::int64_t execution_count = 0;                        // batches
  CountedTime success{};
  CountedTime fail{};
  CountedTime queue{};
  CountedTime compute_input{};   // tokenizing and gathering the batch
  CountedTime compute_infer{};   // running it
  CountedTime compute_output{};  // taking the request's outputs out of it and writing the reply
  std::vector<BatchSizeStatistics> batches{};  // ascending by size
  FailureCounts failures{};                    // together fail.count
  CountedTime cancelled{};                     // among `fail`
  std::int64_t pending = 0;                    // requests waiting now
  std::int64_t memory_bytes = 0;               // of the host: parameters and executors' arenas
  std::chrono::nanoseconds load_time{0};       // of the last load
};

// Thread-safe.
class StatisticsSource {
 public:
  virtual ~StatisticsSource() = default;
  // Every version that was ever ready, ascending by model and version.
  virtual std::vector<VersionStatistics> Statistics() const = 0;
};

// The ready versions that a client asks for: empty `model`: all; empty `version`: all of the model.
// Errors are those of ServingCore::Describe.
absl::StatusOr<std::vector<VersionStatistics>> SelectStatistics(const StatisticsSource& source,
                                                                const ServingCore& core,
                                                                const std::string& model,
                                                                const std::string& version);

}  // namespace reprise::server
