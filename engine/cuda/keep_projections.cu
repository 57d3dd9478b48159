#include "engine/cuda/attention.h"
#include "engine/cuda/kernel.cuh"

namespace reprise::engine::cuda {
namespace {

// A block copies kBlockQueries rows of one head, 16 bytes a thread at a time.
struct KeepKernel {
  using Params = AttentionArgs;
  static constexpr int kThreads = 128;
  static constexpr int kBlocksPerMultiprocessor = 8;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte*) {
    if (thread.block_x() >= *params.num_blocks) return;
    const HeadRole role = params.roles[thread.block_y()];
    const QueryBlock block = params.blocks[thread.block_x()];
    const bool rebuilds =
        block.strategy == reuse::Strategy::kRecompute || block.strategy == reuse::Strategy::kFused;
    if (role.computed < 0 || role.slot < 0 || !rebuilds) return;
    const std::int32_t rows = block.seq_len - block.first_query;
    const std::int64_t first = block.first_row - params.first_row + block.first_query;
    const std::int64_t stride =
        (std::int64_t{2} * params.computed + params.heads) * params.head_dim;
    const int chunks = params.head_dim / 8;
    for (int which = 0; which < 2; ++which) {
      const std::uint16_t* from =
          params.projected + first * stride +
          (std::int64_t{which} * params.computed + role.computed) * params.head_dim;
      std::uint16_t* to =
          params.store.projections +
          ((std::int64_t{role.slot} * 2 + which) * params.store.max_rows + first) * params.head_dim;
      for (int chunk = thread.index(); chunk < kBlockQueries * chunks; chunk += kThreads) {
        const int row = chunk / chunks;
        if (row >= rows) break;
        const int column = chunk % chunks * 8;
        *reinterpret_cast<Chunk*>(to + std::int64_t{row} * params.head_dim + column) =
            *reinterpret_cast<const Chunk*>(from + row * stride + column);
      }
    }
  }

 private:
  struct alignas(16) Chunk {
    std::uint32_t part[4];
  };
};

}  // namespace

absl::Status KeepProjections(const Stream& stream, const AttentionArgs& args) {
  return Launch<KeepKernel>(stream, {args.max_blocks, args.heads}, 0, args);
}

}  // namespace reprise::engine::cuda
