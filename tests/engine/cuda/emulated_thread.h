// Runs kernels of engine/cuda on the CPU: the other half of engine/cuda/kernel.cuh.
//
// The threads of a block are fibers, switched at every collective function. What a GPU leaves open
// is made unfriendly on purpose: blocks run forwards or backwards by turns, and so do the fibers of
// a block; shared memory begins as NaN; an asynchronous copy arrives at once in some blocks, and in
// others when it is waited for and not before. Matrix products follow the layouts of the PTX ISA
// (mma.m16n8k16, ldmatrix).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/check.h"
#include "engine/cuda/grid.h"
#include "engine/cuda/stream.h"
#include "engine/tensor/dtype.h"
#include "tests/engine/cuda/emulated_stream.h"

namespace reprise::engine::cuda {

// One block's fibers and what they exchange.
class EmulatedBlock {
 public:
  // How a block goes about what is left open.
  struct Manner {
    bool backwards = false;     // the last thread begins
    bool eager_copies = false;  // they arrive at once
  };
  // Runs body(i) for each thread i to its end.
  EmulatedBlock(int threads, Manner manner, std::function<void(int)> body);
  ~EmulatedBlock();
  EmulatedBlock(const EmulatedBlock&) = delete;
  EmulatedBlock& operator=(const EmulatedBlock&) = delete;
  void Run();

  // The block whose fiber runs now.
  static EmulatedBlock& Current();

  // Until all threads of the group have called it; the last one to come does `complete`. Group -1
  // is the block, any other a warp.
  void Meet(int group, const std::function<void()>& complete);

  struct Lane {  // what a thread gives to and takes from a collective function
    float value = 0;
    const std::byte* row = nullptr;
    std::uint32_t a[4] = {};
    std::uint32_t b[2] = {};
    float c[4] = {};
    std::uint32_t loaded[4] = {};
  };
  Lane& lane(int thread) { return lanes_[thread]; }
  const Manner& manner() const { return manner_; }

  // Copies under way of a thread, by group; the last group is open.
  struct Copy {
    std::byte* to;
    const void* from;  // null: zeros
  };
  std::vector<std::vector<Copy>>& copies(int thread) { return copies_[thread]; }

 private:
  struct Fibers;
  struct Meeting {
    int arrived = 0;
    int generation = 0;
  };
  bool RunWarp(int warp);
  void Yield();

  const int threads_;
  const Manner manner_;
  const std::function<void(int)> body_;
  std::unique_ptr<Fibers> fibers_;
  std::vector<Meeting> meetings_;  // the block's, then the warps'
  std::vector<Lane> lanes_;
  std::vector<std::vector<std::vector<Copy>>> copies_;
};

// Has GpuThread's functions.
class EmulatedThread {
 public:
  EmulatedThread(int index, int block_x, int block_y)
      : index_(index), block_x_(block_x), block_y_(block_y) {}

  int index() const { return index_; }
  int block_x() const { return block_x_; }
  int block_y() const { return block_y_; }

  void Sync() const {
    EmulatedBlock::Current().Meet(-1, [] {});
  }
  float ShuffleXor(float value, int mask) const;

  bool AllOfWarp(bool holds) const {
    float missing = holds ? 0 : 1;
    for (int mask = 16; mask > 0; mask /= 2) missing += ShuffleXor(missing, mask);
    return missing == 0;
  }

  float Exp2(float x) const { return std::exp2(x); }
  float Max(float x, float y) const { return std::fmax(x, y); }
  float Fma(float x, float y, float z) const { return x * y + z; }
  float Reciprocal(float x) const { return 1 / x; }
  float Tanh(float x) const { return std::tanh(x); }
  float RSqrt(float x) const { return 1.0f / std::sqrt(x); }
  double Sqrt(double x) const { return std::sqrt(x); }
  std::uint32_t Pack(float low, float high) const {
    return BFloat16::FromFloat(low).bits |
           static_cast<std::uint32_t>(BFloat16::FromFloat(high).bits) << 16;
  }

  void MultiplyAdd(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                   std::uint32_t b1) const;
  void LoadMatrices(std::uint32_t (&to)[4], const std::byte* row) const { Load(to, row, false); }
  void LoadTransposed(std::uint32_t (&to)[4], const std::byte* row) const { Load(to, row, true); }

  // As GPUs without wgmma.
  static constexpr bool kWarpgroupProducts = false;
  void WaitProducts() const {}

  void CopyAsync(std::byte* to, const void* from, bool valid) const;
  void CommitCopies() const;
  template <int kGroups>
  void WaitCopies() const {
    WaitUntilLeft(kGroups);
  }

 private:
  int warp() const { return index_ / 32; }
  void Load(std::uint32_t (&to)[4], const std::byte* row, bool transposed) const;
  void WaitUntilLeft(std::size_t groups) const;

  int index_;
  int block_x_;
  int block_y_;
};

template <typename Kernel>
void RunBlocks(Grid grid, std::int64_t shared_bytes, const typename Kernel::Params& params) {
  const std::int64_t blocks = grid.x * grid.y;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t block = i % 2 == 0 ? i / 2 : blocks - 1 - i / 2;  // from both ends
    std::vector<float> shared((shared_bytes + 1023) / 1024 * 256 + 256, std::nanf(""));
    auto* aligned = reinterpret_cast<std::byte*>(
        (reinterpret_cast<std::uintptr_t>(shared.data()) + 1023) / 1024 * 1024);
    const EmulatedBlock::Manner manner = {i % 2 == 1, i / 2 % 2 == 1};
    EmulatedBlock(Kernel::kThreads, manner, [&](int thread) {
      const EmulatedThread emulated(thread, static_cast<int>(block % grid.x),
                                    static_cast<int>(block / grid.x));
      Kernel::Run(emulated, params, aligned);
    }).Run();
  }
}

// All blocks have run when it returns, unless the stream is captured.
template <typename Kernel>
absl::Status Launch(const Stream& stream, Grid grid, std::int64_t shared_bytes,
                    const typename Kernel::Params& params) {
  REPRISE_CHECK(grid.y <= 65535);
  RunOnEmulatedStream(stream.get(), [=] { RunBlocks<Kernel>(grid, shared_bytes, params); });
  return absl::OkStatus();
}

}  // namespace reprise::engine::cuda
