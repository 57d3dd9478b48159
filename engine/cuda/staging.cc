#include "engine/cuda/staging.h"

#include <algorithm>

#include "engine/check.h"
#include "engine/memory/buffer.h"

namespace reprise::engine::cuda {
namespace {

constexpr std::int64_t kPartAlignment = 16;

}  // namespace

absl::StatusOr<Staging> Staging::Create(const StagingShape& largest, int schedules) {
  Staging staging;
  staging.schedules_.resize(schedules);
  staging.LayOut(largest);
  REPRISE_ASSIGN_OR_RETURN(staging.host_, PinnedBuffer::Allocate(staging.used_bytes_));
  REPRISE_ASSIGN_OR_RETURN(staging.device_,
                           DeviceBuffer::Allocate(memory::Purpose::kScratch, staging.used_bytes_));
  return staging;
}

void Staging::LayOut(const StagingShape& shape) {
  std::int64_t next = 0;
  const auto place = [&](Part* part, std::int64_t count, std::size_t element_bytes) {
    *part = {next, count};
    next = memory::AlignUp(next + count * static_cast<std::int64_t>(element_bytes), kPartAlignment);
  };
  place(&cu_seqlens_, shape.sequences + 1, sizeof(std::int32_t));
  for (Part* part : {&ids_, &types_, &positions_}) place(part, shape.rows, sizeof(std::int32_t));
  for (SchedulePart& schedule : schedules_) {
    place(&schedule.blocks, shape.blocks, sizeof(QueryBlock));
    place(&schedule.block_counts, shape.sequences, sizeof(std::int32_t));
  }
  used_bytes_ = next;
}

void Staging::Write(const RaggedBatch& batch, const StagingShape& shape) {
  LayOut(shape);
  REPRISE_CHECK(used_bytes_ <= host_.bytes());
  const std::span<std::int32_t> cu_seqlens = OnHost<std::int32_t>(cu_seqlens_);
  std::fill(std::copy(batch.cu_seqlens.begin(), batch.cu_seqlens.end(), cu_seqlens.begin()),
            cu_seqlens.end(), batch.cu_seqlens.back());
  const auto copy = [](std::span<const std::int32_t> from, std::span<std::int32_t> to) {
    std::fill(std::copy(from.begin(), from.end(), to.begin()), to.end(), 0);
  };
  copy(batch.input_ids, OnHost<std::int32_t>(ids_));
  copy(batch.token_type_ids, OnHost<std::int32_t>(types_));
  copy(batch.position_ids, OnHost<std::int32_t>(positions_));
  if (!batch.position_ids.empty()) return;
  const std::span<std::int32_t> positions = OnHost<std::int32_t>(positions_);
  for (std::int64_t s = 0; s < batch.batch_size(); ++s) {
    for (std::int32_t row = batch.cu_seqlens[s]; row < batch.cu_seqlens[s + 1]; ++row) {
      positions[row] = row - batch.cu_seqlens[s];
    }
  }
}

ScheduleArrays Staging::schedule(int index) const {
  const SchedulePart& part = schedules_[index];
  return {OnHost<QueryBlock>(part.blocks), OnHost<std::int32_t>(part.block_counts)};
}

DeviceBatch Staging::device_batch() const {
  return {OnDevice<std::int32_t>(cu_seqlens_), OnDevice<std::int32_t>(ids_),
          OnDevice<std::int32_t>(types_), OnDevice<std::int32_t>(positions_)};
}

DeviceSchedule Staging::device_schedule(int index,
                                        std::span<const ScheduledMicroBatch> micro_batches) const {
  const SchedulePart& part = schedules_[index];
  return {OnDevice<QueryBlock>(part.blocks), OnDevice<std::int32_t>(part.block_counts),
          micro_batches};
}

absl::Status Staging::Copy(const Stream& stream) const {
  return stream.Copy(device_.data(), host_.data(), used_bytes_);
}

}  // namespace reprise::engine::cuda
