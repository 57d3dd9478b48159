// Runs the encoder layers of a model over a ragged batch on a GPU, depth first within each reuse
// group: a group's layers run for one micro-batch, whose scores then are still in the second level
// cache, before the next.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/cuda/gemm.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/schedule.h"
#include "engine/cuda/stream.h"
#include "engine/cuda/weights.h"
#include "engine/execution_report.h"

namespace reprise::engine::cuda {

struct EncoderLimits {
  std::int64_t max_tokens = 0;      // of a batch; also the rows of a micro-batch
  std::int64_t max_prob_tiles = 0;  // of a micro-batch
  std::int64_t max_max_tiles = 0;   // of a micro-batch, see ScoreStore::maxima
  bool keeps_projections = false;   // whether some sequence recomputes or runs fused
  bool batch_invariant = true;      // see ExecutorOptions
};

// A batch in device memory, as the kernels take it.
struct DeviceBatch {
  const std::int32_t* cu_seqlens = nullptr;
  const std::int32_t* ids = nullptr;
  const std::int32_t* types = nullptr;
  const std::int32_t* positions = nullptr;
};

// A group's schedule: arrays in device memory, micro-batches on the host.
struct DeviceSchedule {
  const QueryBlock* blocks = nullptr;
  const std::int32_t* block_counts = nullptr;
  std::span<const ScheduledMicroBatch> micro_batches;
};

// Not thread-safe; for one stream.
class Encoder {
 public:
  // Called when the work of a phase has been put into the stream.
  using PhaseMarker = std::function<absl::Status(Phase)>;

  // `config` and `weights` must outlive it. ResourceExhausted without device memory.
  static absl::StatusOr<std::unique_ptr<Encoder>> Create(const Stream& stream,
                                                         const architectures::BertConfig& config,
                                                         const Weights& weights,
                                                         const EncoderLimits& limits);

  // Puts embeddings and all layers into the stream; hidden() has the last hidden state when they
  // are done. `rows` >= the batch's tokens: rows past them are computed and mean nothing.
  // `group_schedule` has one schedule for each group of the plan.
  absl::Status Enqueue(const Stream& stream, const DeviceBatch& batch, std::int64_t rows,
                       std::span<const DeviceSchedule* const> group_schedule,
                       const PhaseMarker& end_of) const;

  const DeviceBuffer& hidden() const { return hidden_; }  // fp32 [max_tokens, hidden_size]
  std::int64_t arena_bytes() const;
  std::int64_t score_bytes() const;  // of the score store

 private:
  // Buffers that share memory, in the order of a layer's steps.
  enum BufferIndex { kProjected, kContext, kDelta, kIntermediate, kNumBuffers };
  // Rows of a micro-batch that a layer runs, and where they begin in the batch.
  struct Rows {
    std::int64_t first = 0;
    std::int64_t count = 0;
  };

  Encoder(const architectures::BertConfig& config, const Weights& weights,
          const EncoderLimits& limits)
      : config_(config), weights_(weights), limits_(limits) {}
  absl::Status Allocate();
  absl::Status Tune(const Stream& stream);
  absl::Status EnqueueAttention(const Stream& stream, int layer, const DeviceBatch& batch,
                                const DeviceSchedule& schedule, std::size_t index, Rows rows,
                                const PhaseMarker& end_of) const;
  absl::Status EnqueueFeedForward(const Stream& stream, int layer, Rows rows,
                                  const PhaseMarker& end_of) const;
  absl::Status RunDense(const Stream& stream, const Dense& dense, const std::uint16_t* x,
                        std::uint16_t* y, std::int64_t rows) const;
  absl::Status AddNorm(const Stream& stream, Rows rows, const std::uint16_t* delta,
                       const Norm* norm, bool last) const;
  AttentionArgs AttentionOf(int layer, const DeviceBatch& batch, const DeviceSchedule& schedule,
                            std::size_t index) const;
  const Norm* FirstNormOf(int layer) const;

  std::uint16_t* buffer(BufferIndex index) const {
    return reinterpret_cast<std::uint16_t*>(arena_.data() + offsets_[index]);
  }
  std::uint16_t* operand(std::int64_t row) const {
    return operand_.as<std::uint16_t>() + row * config_.hidden_size;
  }
  float* hidden_row(std::int64_t row) const {
    return hidden_.as<float>() + row * config_.hidden_size;
  }

  const architectures::BertConfig& config_;
  const Weights& weights_;
  const EncoderLimits limits_;
  DeviceBuffer
      operand_;          // bf16 [max_tokens, hidden_size]: next product's input; post-LN's residual
  DeviceBuffer hidden_;  // fp32 [max_tokens, hidden_size]: pre-LN's residual; last hidden state
  DeviceBuffer arena_;
  std::array<std::int64_t, kNumBuffers> offsets_{};
  DeviceBuffer workspace_;  // of the matrix products
  DeviceBuffer probs_, maxima_, sums_, projections_;
  // By shape of a dense layer; layers of one shape share it.
  std::vector<std::pair<std::pair<std::int64_t, std::int64_t>, std::shared_ptr<const Gemm>>> gemms_;
};

}  // namespace reprise::engine::cuda
