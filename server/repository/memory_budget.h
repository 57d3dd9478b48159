// Keeps models from being loaded that memory cannot hold.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/model.h"
#include "server/request/mutex.h"

namespace reprise::server::repository {

// Without it the kernel ends the whole process, and every model that serves with it. Thread-safe.
class MemoryBudget {
 public:
  // `in_use` says how many of `limit_bytes` the process has taken.
  MemoryBudget(std::int64_t limit_bytes, std::function<std::int64_t()> in_use)
      : limit_bytes_(limit_bytes), in_use_(std::move(in_use)) {}

  // Bytes that a load under way may take, given back when it is over: from then on the model is
  // part of what is in use.
  class Share {
   public:
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
    Share& operator=(Share&&) = delete;
    ~Share();

   private:
    friend class MemoryBudget;
    Share(MemoryBudget* budget, std::int64_t bytes) : budget_(budget), bytes_(bytes) {}
    MemoryBudget* budget_;
    const std::int64_t bytes_;
  };

  // FailedPrecondition when what is in use and shared out already leaves less than `bytes`.
  absl::StatusOr<Share> Reserve(std::int64_t bytes);

 private:
  const std::int64_t limit_bytes_;
  const std::function<std::int64_t()> in_use_;
  Mutex mutex_;
  std::int64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;
};

// What the weights of a checkpoint directory take in memory, read from the heads of its files; a
// model needs somewhat more. Errors are those of Checkpoint::Open.
absl::StatusOr<std::int64_t> WeightBytes(const std::string& directory, engine::Precision precision,
                                         engine::DeviceId device);

// Bytes of this process that only it has; pages of files that could be dropped do not count.
std::int64_t OwnMemoryBytes();

}  // namespace reprise::server::repository
