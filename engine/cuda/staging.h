// A batch and its schedules in one block of pinned memory, which one copy takes to the device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/cuda/encoder.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/schedule.h"
#include "engine/tensor/ragged_batch.h"

namespace reprise::engine::cuda {

// Upper limits of what a block has to hold. Batches of one shape have their parts at the same
// places, so that a graph made for the shape runs them all.
struct StagingShape {
  std::int64_t rows = 0;
  std::int64_t sequences = 0;
  std::int64_t blocks = 0;  // of queries
  friend auto operator<=>(const StagingShape&, const StagingShape&) = default;
};

class Staging {
 public:
  // Room for any shape up to `largest`, with so many schedules.
  static absl::StatusOr<Staging> Create(const StagingShape& largest, int schedules);

  // Lays the block out anew and writes the batch; rows and sequences past its end become token 0
  // and empty sequences. Requires: the batch fits the shape, and the shape fits `largest`.
  void Write(const RaggedBatch& batch, const StagingShape& shape);

  // Of the shape last written: where a schedule goes on the host, and all parts on the device.
  ScheduleArrays schedule(int index) const;
  DeviceBatch device_batch() const;
  DeviceSchedule device_schedule(int index,
                                 std::span<const ScheduledMicroBatch> micro_batches) const;

  // Puts the copy of everything written into the stream.
  absl::Status Copy(const Stream& stream) const;
  std::int64_t bytes() const { return host_.bytes(); }

 private:
  struct Part {
    std::int64_t offset = 0;
    std::int64_t count = 0;
  };
  struct SchedulePart {
    Part blocks, block_counts;
  };
  void LayOut(const StagingShape& shape);
  template <typename T>
  std::span<T> OnHost(const Part& part) const {
    return {reinterpret_cast<T*>(host_.data() + part.offset), static_cast<std::size_t>(part.count)};
  }
  template <typename T>
  const T* OnDevice(const Part& part) const {
    return reinterpret_cast<const T*>(device_.data() + part.offset);
  }

  PinnedBuffer host_;
  DeviceBuffer device_;
  Part cu_seqlens_, ids_, types_, positions_;
  std::vector<SchedulePart> schedules_;
  std::int64_t used_bytes_ = 0;
};

}  // namespace reprise::engine::cuda
