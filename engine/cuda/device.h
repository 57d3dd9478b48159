// One GPU: whether it can be used, what it is, how much memory it has.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::engine::cuda {

struct Device {
  int ordinal = 0;
  std::string name;       // as the driver calls it
  int compute_major = 0;  // compute capability
  int compute_minor = 0;
  int multiprocessors = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;        // in all
  std::int64_t free_bytes = 0;          // when it was looked at
  std::int64_t shared_block_bytes = 0;  // shared memory that one block may ask for
};

// Makes it the calling thread's device. FailedPrecondition with what to do when there is no driver,
// a driver that is too old, no such device, or one older than Ampere (compute capability 8.0).
absl::StatusOr<Device> OpenDevice(int ordinal);

// Makes it the calling thread's device again: each thread that calls CUDA has one of its own.
absl::Status UseDevice(int ordinal);

}  // namespace reprise::engine::cuda
