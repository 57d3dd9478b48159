#include "absl/strings/str_cat.h"
#include "engine/cuda/attention.h"
#include "engine/cuda/kernel.cuh"

namespace reprise::engine::cuda {
namespace {

constexpr int kGroupWarps = 4;  // of a warpgroup, which has kTile queries
constexpr int kGroupThreads = kGroupWarps * kWarpSize;
constexpr int kGroups = kBlockQueries / kTile;  // of a block
constexpr int kWarpRows = 16;
constexpr int kKeyPairs = kTile / 16;  // steps of 16 keys in a tile
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kNegativeInfinity = -__builtin_huge_valf();
static_assert(kGroupWarps * kWarpRows == kTile);

// What a block does, by its head and its sequence.
enum class Work { kCompute, kComputeAndKeep, kRead, kRecompute };

// In base 2. Scores may exceed what they are compared with by so much before sums are rescaled to a
// new maximum: probabilities are then at most 2^8, which costs bf16 and fp32 no precision, and sums
// are hardly ever rescaled after the first tile.
constexpr float kMaximumSlack = 8;

// One query tile of one head. Flash attention (arXiv 2307.08691) in base 2, with the probabilities
// of each step kept or taken from where they were kept.
template <int kHeadDim, bool kBiased>
struct AttentionKernel {
  using Params = AttentionArgs;
  static constexpr int kThreads = kGroups * kGroupThreads;
  // Without warpgroups' products, or with a bias, more registers are needed than two blocks could
  // have.
  static constexpr int kBlocksPerMultiprocessor =
      kHeadDim <= 64 && kWarpgroupProducts && !kBiased ? 2 : 1;
  static constexpr int kSteps = kHeadDim / 16;  // of 16 along the head dimension
  // Matrices lie in shared memory in panels of at most 64 columns, swizzled.
  static constexpr int kPanelColumns = kHeadDim < 64 ? kHeadDim : 64;
  static constexpr int kPanels = kHeadDim / kPanelColumns;
  static constexpr int kPanelSteps = kPanelColumns / 16;
  static constexpr int kRowBytes = kPanelColumns * 2;  // of a panel
  static constexpr int kChunks = kRowBytes / 16;       // of such a row
  // Keys, values and kept probabilities are copied two tiles at a time, while the two before are
  // worked on: to wait costs time.
  static constexpr int kStages = 2;
  static constexpr int kStageTiles = 2;
  static constexpr int kStageKeys = kStageTiles * kTile;
  static constexpr int kQueryBytes = kBlockQueries * kHeadDim * 2;
  static constexpr int kStageBytes = kStageKeys * kHeadDim * 2;  // of keys or of values
  static constexpr int kProbBytes = kTileScores * 2;             // of a tile
  static constexpr int kProbStageBytes = kGroups * kStageTiles * kProbBytes;
  static constexpr int kComputeBytes = kQueryBytes + kStages * 2 * kStageBytes;
  static constexpr int kReadBytes = kStages * (kStageBytes + kProbStageBytes);
  static constexpr int kMaximaBytes = kStages * kStageTiles * kGroups * kTile * 4;
  static constexpr int kSharedBytes =
      (kComputeBytes > kReadBytes ? kComputeBytes : kReadBytes) + kMaximaBytes;

  // One key tile's scores or probabilities of a warp: 16 x kTile, kTile / 8 products of 8 columns.
  using Scores = float[kTile / 8][4];
  using Probs = std::uint32_t[kKeyPairs][4];

  // The rows of this thread are lane / 4 and lane / 4 + 8 of its warp's.
  struct Running {
    float maximum[2] = {kNegativeInfinity, kNegativeInfinity};
    float sum[2] = {0, 0};  // over this thread's columns
    float context[kPanels][kPanelColumns / 8][4] = {};
  };

  template <typename Thread>
  struct Block {
    const Thread& thread;
    const Params& params;
    std::byte* shared;
    HeadRole role;
    QueryBlock queries;
    std::int32_t first_query;  // of this warpgroup, in the sequence
    std::int64_t first_row;    // of the sequence in the micro-batch
    std::int32_t tiles;        // of keys
    Work work;
    bool fused = false;  // computes from what the source kept
  };

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte* shared) {
    // All loads first: they take longer than what follows.
    const std::int32_t num_blocks = *params.num_blocks;
    const QueryBlock queries = params.blocks[thread.block_x()];
    const HeadRole role = params.roles[thread.block_y()];
    if (thread.block_x() >= num_blocks) return;
    Block<Thread> block{thread,
                        params,
                        shared,
                        role,
                        queries,
                        queries.first_query + thread.index() / kGroupThreads * kTile,
                        queries.first_row - params.first_row,
                        (queries.seq_len + kTile - 1) / kTile,
                        Work::kCompute};
    ChooseWork(block);

    Running running;
    if (block.work == Work::kRead) {
      ReadTiles(block, running);
    } else {
      ComputeTiles(block, running);
    }
    WriteContext(block, running);
  }

 private:
  template <typename Thread>
  static REPRISE_GPU void ChooseWork(Block<Thread>& block) {
    const reuse::Strategy strategy = block.queries.strategy;
    if (block.role.computed >= 0) {
      const bool keep = block.role.slot >= 0 && strategy != reuse::Strategy::kNone &&
                        strategy != reuse::Strategy::kFused;
      block.work = keep ? Work::kComputeAndKeep : Work::kCompute;
    } else if (strategy == reuse::Strategy::kStored) {
      block.work = Work::kRead;
    } else {
      block.fused = strategy == reuse::Strategy::kFused;
      block.work = block.fused ? Work::kCompute : Work::kRecompute;
    }
  }

  // Where queries (0) or keys (1) of the block's head begin, at the sequence's first row, and how
  // far apart its rows are.
  template <typename Thread>
  static REPRISE_GPU const std::uint16_t* Projection(const Block<Thread>& block, int which,
                                                     std::int64_t* stride) {
    const Params& params = block.params;
    if (block.role.computed < 0) {
      *stride = kHeadDim;
      return params.store.projections +
             ((std::int64_t{block.role.slot} * 2 + which) * params.store.max_rows +
              block.first_row) *
                 kHeadDim;
    }
    *stride = Columns(params);
    return params.projected + block.first_row * *stride +
           (std::int64_t{which} * params.computed + block.role.computed) * kHeadDim;
  }

  static REPRISE_GPU std::int64_t Columns(const Params& params) {
    return (std::int64_t{2} * params.computed + params.heads) * kHeadDim;
  }

  // Where chunk `chunk` of row `row` lies in a matrix of kRows rows.
  template <int kRows>
  static REPRISE_GPU int Offset(int row, int chunk) {
    return chunk / kChunks * (kRows * kRowBytes) + SwizzledOffset<kRowBytes>(row, chunk % kChunks);
  }

  // Starts copying kRows rows from `first` on; rows past the sequence's end become zeros.
  template <int kRows, typename Thread>
  static REPRISE_GPU void CopyRows(const Block<Thread>& block, const std::uint16_t* from,
                                   std::int64_t stride, std::int32_t first, std::byte* to) {
    constexpr int kRowChunks = kHeadDim / 8;
    constexpr int kRowsAtOnce = kThreads / kRowChunks;
    static_assert(kRowsAtOnce % 8 == 0);  // so that they are swizzled alike
    const int row = block.thread.index() / kRowChunks;
    const int chunk = block.thread.index() % kRowChunks;
    std::byte* target = to + Offset<kRows>(row, chunk);
    const std::uint16_t* source = from + (first + row) * stride + chunk * 8;
    const std::int32_t rows_left = block.queries.seq_len - first - row;
#pragma unroll
    for (int rows = 0; rows < kRows; rows += kRowsAtOnce) {
      if (kRows < kRowsAtOnce && row >= kRows) break;
      const bool valid = rows < rows_left;
      block.thread.CopyAsync(target + rows * kRowBytes, valid ? source + rows * stride : from,
                             valid);
    }
  }

  // Stage `stage`'s values, keys (while computing) and probabilities (while reading).
  static REPRISE_GPU std::byte* Values(std::byte* shared, std::int32_t stage) {
    return shared + stage % kStages * kStageBytes;
  }
  static REPRISE_GPU std::byte* Keys(std::byte* shared, std::int32_t stage) {
    return shared + (kStages + stage % kStages) * kStageBytes;
  }
  static REPRISE_GPU std::byte* Queries(std::byte* shared) {
    return shared + 2 * kStages * kStageBytes;
  }
  // The rows of tile `key_tile` in its stage.
  static REPRISE_GPU const std::byte* TileOf(const std::byte* stage, std::int32_t key_tile) {
    return stage + key_tile % kStageTiles * (kTile * kRowBytes);
  }
  // Of tile `key_tile` and this warpgroup.
  template <typename Thread>
  static REPRISE_GPU std::byte* SharedProbs(const Block<Thread>& block, std::int32_t key_tile) {
    const int group = block.thread.index() / kGroupThreads;
    return block.shared + kStages * kStageBytes +
           (key_tile % (kStages * kStageTiles) * kGroups + group) * kProbBytes;
  }

  // Of tile `key_tile` and this warpgroup: what its scores were compared with.
  template <typename Thread>
  static REPRISE_GPU float* SharedMaxima(const Block<Thread>& block, std::int32_t key_tile) {
    const int group = block.thread.index() / kGroupThreads;
    return reinterpret_cast<float*>(block.shared + kSharedBytes - kMaximaBytes) +
           (key_tile % (kStages * kStageTiles) * kGroups + group) * kTile;
  }

  // Where keys and values of the block's head come from.
  struct Sources {
    const std::uint16_t* keys = nullptr;
    std::int64_t key_stride = 0;
    const std::uint16_t* values = nullptr;
    std::int64_t value_stride = 0;
  };
  template <typename Thread>
  static REPRISE_GPU Sources SourcesOf(const Block<Thread>& block) {
    const Params& params = block.params;
    Sources sources;
    if (block.work != Work::kRead) sources.keys = Projection(block, 1, &sources.key_stride);
    sources.value_stride = Columns(params);
    sources.values = params.projected + block.first_row * sources.value_stride +
                     (std::int64_t{2} * params.computed + block.thread.block_y()) * kHeadDim;
    return sources;
  }

  // Starts copying a stage, if there is one, as one group of copies.
  template <bool kReading, typename Thread>
  static REPRISE_GPU void CopyStage(const Block<Thread>& block, const Sources& sources,
                                    std::int32_t stage) {
    const std::int32_t first = stage * kStageKeys;
    if (first < block.queries.seq_len) {
      if (block.work == Work::kRead || block.work == Work::kRecompute) CopyKept(block, stage);
      if constexpr (!kReading) {
        CopyRows<kStageKeys>(block, sources.keys, sources.key_stride, first,
                             Keys(block.shared, stage));
      }
      CopyRows<kStageKeys>(block, sources.values, sources.value_stride, first,
                           Values(block.shared, stage));
    }
    block.thread.CommitCopies();
  }

  // Maxima and, to be read, probabilities, of which each thread copies what it will read itself.
  template <typename Thread>
  static REPRISE_GPU void CopyKept(const Block<Thread>& block, std::int32_t stage) {
    if (block.first_query >= block.queries.seq_len) return;
    const int index = block.thread.index() % kGroupThreads;
#pragma unroll
    for (int i = 0; i < kStageTiles; ++i) {
      const std::int32_t key_tile = stage * kStageTiles + i;
      if (key_tile >= block.tiles) break;
      if (index < kTile / 4) {
        block.thread.CopyAsync(
            reinterpret_cast<std::byte*>(SharedMaxima(block, key_tile) + index * 4),
            MaximaOf(block, key_tile) + index * 4, true);
      }
      if (block.work == Work::kRecompute) continue;
      const std::uint32_t* from = ProbsOf(block, key_tile);
      std::byte* to = SharedProbs(block, key_tile) + index * 16;
#pragma unroll
      for (int step = 0; step < kKeyPairs; ++step) {
        block.thread.CopyAsync(to + step * (kGroupThreads * 16), from + step * kWarpSize * 4, true);
      }
    }
  }

  // Calls work(key_tile) for every tile, when its copies have arrived. work does nothing where
  // the warpgroup has no queries.
  template <bool kReading, typename Thread, typename TileWork>
  static REPRISE_GPU void ForEachTile(const Block<Thread>& block, const Sources& sources,
                                      const TileWork& work) {
    for (std::int32_t stage = 0; stage * kStageKeys < block.queries.seq_len; ++stage) {
      block.thread.WaitProducts();
      block.thread.template WaitCopies<0>();
      block.thread.Sync();  // arrived for all; and all are done with the stage before
      CopyStage<kReading>(block, sources, stage + 1);
#pragma unroll 1
      for (int i = 0; i < kStageTiles; ++i) {
        const std::int32_t key_tile = stage * kStageTiles + i;
        if (key_tile < block.tiles && block.first_query < block.queries.seq_len) work(key_tile);
      }
    }
  }

  template <typename Thread>
  static REPRISE_GPU void ComputeTiles(const Block<Thread>& block, Running& running) {
    const Sources sources = SourcesOf(block);
    std::int64_t stride = 0;
    const std::uint16_t* queries = Projection(block, 0, &stride);
    CopyRows<kBlockQueries>(block, queries, stride, block.queries.first_query,
                            Queries(block.shared));
    CopyStage<false>(block, sources, 0);
    std::uint32_t query[kSteps][4];
    ForEachTile<false>(block, sources, [&](std::int32_t key_tile) {
      // Kept in registers where products leave room for them.
      if (key_tile == 0 || !Thread::kWarpgroupProducts) LoadQueries(block, query);
      float maxima[2];
      if (block.work == Work::kRecompute) ReadMaxima(block, key_tile, maxima);
      Scores scores;
      Multiply(block, query, key_tile, scores);
      block.thread.WaitProducts();  // this one and the tile's before
      const float factor = AddBiasAndMask(block, key_tile, scores);
      if (block.work != Work::kRecompute) {
        FindMaxima(block.thread, factor, scores, running, maxima);
      }
      Probs probs;
      Exponentiate(block.thread, factor, maxima, scores, running, probs);
      if (block.work == Work::kComputeAndKeep) Keep(block, key_tile, running, probs);
      AddContext(block, key_tile, probs, running);
    });
    block.thread.WaitProducts();
    FinishSums(block, running);
  }

  template <typename Thread>
  static REPRISE_GPU void ReadTiles(const Block<Thread>& block, Running& running) {
    const Sources sources = SourcesOf(block);
    CopyStage<true>(block, sources, 0);
    const bool busy = block.first_query < block.queries.seq_len;
    if (busy) ReadSums(block, running);
    // As they are: sums are not summed up here, and must not shrink.
    const float sums[2] = {running.sum[0], running.sum[1]};
    ForEachTile<true>(block, sources, [&](std::int32_t key_tile) {
      float maxima[2];
      ReadMaxima(block, key_tile, maxima);
      Probs probs;
      ReadProbs(block, key_tile, probs);
      block.thread.WaitProducts();
      Rescale(block.thread, maxima, running);
      AddContext(block, key_tile, probs, running);
    });
    block.thread.WaitProducts();
#pragma unroll
    for (int row = 0; row < 2; ++row) running.sum[row] = sums[row];
  }

  // The warp's 16 queries as the left operands of kSteps products.
  template <typename Thread>
  static REPRISE_GPU void LoadQueries(const Block<Thread>& block,
                                      std::uint32_t (&query)[kSteps][4]) {
    const int lane = block.thread.index() % kWarpSize;
    const int row = block.thread.index() / kWarpSize * kWarpRows + lane % 16;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      block.thread.LoadMatrices(
          query[step], Queries(block.shared) + Offset<kBlockQueries>(row, 2 * step + lane / 16));
    }
  }

  // scores = queries keys^T
  template <typename Thread>
  static REPRISE_GPU void Multiply(const Block<Thread>& block,
                                   const std::uint32_t (&query)[kSteps][4], std::int32_t key_tile,
                                   Scores& scores) {
    const std::byte* keys = TileOf(Keys(block.shared, key_tile / kStageTiles), key_tile);
    if constexpr (Thread::kWarpgroupProducts) {
      block.thread.BeginProducts();
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        block.thread.template WarpgroupMultiply<kRowBytes, false>(
            scores, query[step],
            keys + step / kPanelSteps * (kStageKeys * kRowBytes) + step % kPanelSteps * 32,
            step > 0);
      }
      block.thread.EndProducts();
      return;
    }
    const int lane = block.thread.index() % kWarpSize;
#pragma unroll
    for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
      for (int part = 0; part < 4; ++part) scores[column][part] = 0;
    }
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      // Lanes 0-7 and 8-15 give keys 0-7, left and right half of 16 numbers; the others keys 8-15.
      const std::byte* row =
          keys + Offset<kStageKeys>(lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2);
#pragma unroll
      for (int pair = 0; pair < kKeyPairs; ++pair) {
        std::uint32_t key[4];
        block.thread.LoadMatrices(key, row + pair * 16 * kRowBytes);
        block.thread.MultiplyAdd(scores[2 * pair], query[step], key[0], key[1]);
        block.thread.MultiplyAdd(scores[2 * pair + 1], query[step], key[2], key[3]);
      }
    }
  }

  // Of the sequence: the query of part `part` (0-3) of a product's results, the key of product
  // `column`.
  template <typename Thread>
  static REPRISE_GPU std::int32_t Query(const Block<Thread>& block, int part) {
    const int thread = block.thread.index();
    return block.first_query + thread / kWarpSize % kGroupWarps * kWarpRows +
           thread % kWarpSize / 4 + part / 2 * 8;
  }
  template <typename Thread>
  static REPRISE_GPU std::int32_t Key(const Block<Thread>& block, std::int32_t key_tile, int column,
                                      int part) {
    return key_tile * kTile + column * 8 + block.thread.index() % 4 * 2 + part % 2;
  }

  // Keys past the end get no weight. Returns what scores are still to be multiplied with to be
  // exponents of 2.
  template <typename Thread>
  static REPRISE_GPU float AddBiasAndMask(const Block<Thread>& block, std::int32_t key_tile,
                                          Scores& scores) {
    const float to_base_2 = block.params.scale * kLog2E;
    if constexpr (kBiased) {
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const float bias = Bias(block, Query(block, part), Key(block, key_tile, column, part));
          scores[column][part] = scores[column][part] * to_base_2 + kLog2E * bias;
        }
      }
    }
    if ((key_tile + 1) * kTile > block.queries.seq_len) {
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const bool past = Key(block, key_tile, column, part) >= block.queries.seq_len;
          if (past) scores[column][part] = kNegativeInfinity;
        }
      }
    }
    return kBiased ? 1.0f : to_base_2;
  }

  template <typename Thread>
  static REPRISE_GPU float Bias(const Block<Thread>& block, std::int32_t query, std::int32_t key) {
    if (query >= block.queries.seq_len || key >= block.queries.seq_len) return 0;
    const std::int32_t* positions = block.params.positions + block.queries.first_row;
    const std::int32_t last = 2 * block.params.max_distance - 2;
    std::int32_t index = positions[key] - positions[query] + block.params.max_distance - 1;
    index = index < 0 ? 0 : index > last ? last : index;
    return block.role.bias[index];
  }

  // Takes the running maximum to `maxima`; what was summed up so far shrinks accordingly.
  template <typename Thread>
  static REPRISE_GPU void Rescale(const Thread& thread, const float (&maxima)[2],
                                  Running& running) {
    const bool same = maxima[0] == running.maximum[0] && maxima[1] == running.maximum[1];
    if (thread.AllOfWarp(same)) return;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const float shrink = thread.Exp2(running.maximum[row] - maxima[row]);
      running.maximum[row] = maxima[row];
      running.sum[row] *= shrink;
#pragma unroll
      for (int panel = 0; panel < kPanels; ++panel) {
#pragma unroll
        for (int column = 0; column < kPanelColumns / 8; ++column) {
          running.context[panel][column][2 * row] *= shrink;
          running.context[panel][column][2 * row + 1] *= shrink;
        }
      }
    }
  }

  // What this tile's scores are compared with.
  template <typename Thread>
  static REPRISE_GPU void FindMaxima(const Thread& thread, float factor, const Scores& scores,
                                     const Running& running, float (&maxima)[2]) {
    maxima[0] = maxima[1] = kNegativeInfinity;
#pragma unroll
    for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
      for (int part = 0; part < 4; ++part) {
        maxima[part / 2] = thread.Max(maxima[part / 2], scores[column][part]);
      }
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) {  // the four lanes of a row
      maxima[row] = thread.Max(maxima[row], thread.ShuffleXor(maxima[row], 1));
      maxima[row] = thread.Max(maxima[row], thread.ShuffleXor(maxima[row], 2));
      maxima[row] *= factor;
      const bool close = maxima[row] <= running.maximum[row] + kMaximumSlack;
      if (close) maxima[row] = running.maximum[row];
    }
  }

  template <typename Thread>
  static REPRISE_GPU void Exponentiate(const Thread& thread, float factor, const float (&maxima)[2],
                                       Scores& scores, Running& running, Probs& probs) {
    Rescale(thread, maxima, running);
#pragma unroll
    for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
      for (int part = 0; part < 4; ++part) {
        scores[column][part] =
            thread.Exp2(thread.Fma(scores[column][part], factor, -maxima[part / 2]));
        running.sum[part / 2] += scores[column][part];
      }
    }
    // Results of two neighbouring products are the left operand of one: Probs is P as the next
    // product wants it.
#pragma unroll
    for (int step = 0; step < kKeyPairs; ++step) {
      probs[step][0] = thread.Pack(scores[2 * step][0], scores[2 * step][1]);
      probs[step][1] = thread.Pack(scores[2 * step][2], scores[2 * step][3]);
      probs[step][2] = thread.Pack(scores[2 * step + 1][0], scores[2 * step + 1][1]);
      probs[step][3] = thread.Pack(scores[2 * step + 1][2], scores[2 * step + 1][3]);
    }
  }

  // context += probs values
  template <typename Thread>
  static REPRISE_GPU void AddContext(const Block<Thread>& block, std::int32_t key_tile,
                                     const Probs& probs, Running& running) {
    const std::byte* values = TileOf(Values(block.shared, key_tile / kStageTiles), key_tile);
    if constexpr (Thread::kWarpgroupProducts) {
      block.thread.BeginProducts();
#pragma unroll
      for (int step = 0; step < kKeyPairs; ++step) {
#pragma unroll
        for (int panel = 0; panel < kPanels; ++panel) {
          block.thread.template WarpgroupMultiply<kRowBytes, true>(
              running.context[panel], probs[step],
              values + panel * (kStageKeys * kRowBytes) + step * 16 * kRowBytes, true);
        }
      }
      block.thread.EndProducts();
      return;
    }
    const int lane = block.thread.index() % kWarpSize;
#pragma unroll
    for (int pair = 0; pair < kHeadDim / 16; ++pair) {
      const std::byte* row = values + Offset<kStageKeys>(lane % 16, 2 * pair + lane / 16);
      float(&context)[kPanelColumns / 8][4] = running.context[pair / kPanelSteps];
      const int column = pair % kPanelSteps * 2;
#pragma unroll
      for (int step = 0; step < kKeyPairs; ++step) {
        std::uint32_t value[4];
        block.thread.LoadTransposed(value, row + step * 16 * kRowBytes);
        block.thread.MultiplyAdd(context[column], probs[step], value[0], value[1]);
        block.thread.MultiplyAdd(context[column + 1], probs[step], value[2], value[3]);
      }
    }
  }

  template <typename Thread>
  static REPRISE_GPU std::int64_t TileNumber(const Block<Thread>& block, std::int64_t offset,
                                             std::int32_t key_tile) {
    return offset +
           (std::int64_t{block.role.slot} * block.tiles + block.first_query / kTile) * block.tiles +
           key_tile;
  }
  template <typename Thread>
  static REPRISE_GPU float* MaximaOf(const Block<Thread>& block, std::int32_t key_tile) {
    const ScoreStore& store = block.params.store;
    return store.maxima + TileNumber(block, block.queries.max_offset, key_tile) * kTile;
  }
  // Four numbers of 32 bits for each step of 16 keys, warp and lane: neighbouring lanes,
  // neighbouring 16 bytes.
  template <typename Thread>
  static REPRISE_GPU std::uint32_t* ProbsOf(const Block<Thread>& block, std::int32_t key_tile) {
    const ScoreStore& store = block.params.store;
    const std::int64_t tile = TileNumber(block, block.queries.prob_offset, key_tile);
    const int thread = block.thread.index();
    return reinterpret_cast<std::uint32_t*>(store.probs + tile * kTileScores) +
           thread / kWarpSize % kGroupWarps * (kKeyPairs * kWarpSize * 4) + thread % kWarpSize * 4;
  }
  // Rows of the block's tile that belong to this thread.
  template <typename Thread>
  static REPRISE_GPU int TileRow(const Block<Thread>& block, int row) {
    return Query(block, 2 * row) - block.first_query;
  }

  struct alignas(16) Quad {
    std::uint32_t part[4];
  };

  template <typename Thread>
  static REPRISE_GPU void Keep(const Block<Thread>& block, std::int32_t key_tile,
                               const Running& running, const Probs& probs) {
    if (block.thread.index() % 4 == 0) {
      float* maxima = MaximaOf(block, key_tile);
#pragma unroll
      for (int row = 0; row < 2; ++row) maxima[TileRow(block, row)] = running.maximum[row];
    }
    if (block.queries.strategy != reuse::Strategy::kStored) return;
    std::uint32_t* to = ProbsOf(block, key_tile);
#pragma unroll
    for (int step = 0; step < kKeyPairs; ++step) {
      const Quad quad = {{probs[step][0], probs[step][1], probs[step][2], probs[step][3]}};
      *reinterpret_cast<Quad*>(to + step * kWarpSize * 4) = quad;
    }
  }

  template <typename Thread>
  static REPRISE_GPU void ReadProbs(const Block<Thread>& block, std::int32_t key_tile,
                                    Probs& probs) {
    const std::byte* from =
        SharedProbs(block, key_tile) + block.thread.index() % kGroupThreads * 16;
#pragma unroll
    for (int step = 0; step < kKeyPairs; ++step) {
      const Quad quad = *reinterpret_cast<const Quad*>(from + step * (kGroupThreads * 16));
#pragma unroll
      for (int part = 0; part < 4; ++part) probs[step][part] = quad.part[part];
    }
  }

  template <typename Thread>
  static REPRISE_GPU void ReadMaxima(const Block<Thread>& block, std::int32_t key_tile,
                                     float (&maxima)[2]) {
    const float* from = SharedMaxima(block, key_tile);
#pragma unroll
    for (int row = 0; row < 2; ++row) maxima[row] = from[TileRow(block, row)];
  }

  // Over the four lanes of a row; kept for later layers where something is kept.
  template <typename Thread>
  static REPRISE_GPU void FinishSums(const Block<Thread>& block, Running& running) {
    if (block.work == Work::kRecompute) return ReadSums(block, running);
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      running.sum[row] += block.thread.ShuffleXor(running.sum[row], 1);
      running.sum[row] += block.thread.ShuffleXor(running.sum[row], 2);
      const std::int32_t query = Query(block, 2 * row);
      if (block.work == Work::kComputeAndKeep && block.thread.index() % 4 == 0 &&
          query < block.queries.seq_len) {
        SumsOf(block)[query] = running.sum[row];
      }
    }
  }

  template <typename Thread>
  static REPRISE_GPU void ReadSums(const Block<Thread>& block, Running& running) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const std::int32_t query = Query(block, 2 * row);
      running.sum[row] = query < block.queries.seq_len ? SumsOf(block)[query] : 1;
    }
  }

  template <typename Thread>
  static REPRISE_GPU float* SumsOf(const Block<Thread>& block) {
    const ScoreStore& store = block.params.store;
    return store.sums + std::int64_t{block.role.slot} * store.max_rows + block.first_row;
  }

  template <typename Thread>
  static REPRISE_GPU void WriteContext(const Block<Thread>& block, const Running& running) {
    const std::int64_t stride = std::int64_t{block.params.heads} * kHeadDim;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const std::int32_t query = Query(block, 2 * row);
      if (query >= block.queries.seq_len) continue;
      const float inverse = 1.0f / running.sum[row];
      std::uint16_t* to = block.params.context + (block.first_row + query) * stride +
                          std::int64_t{block.thread.block_y()} * kHeadDim +
                          block.thread.index() % 4 * 2;
#pragma unroll
      for (int column = 0; column < kHeadDim / 8; ++column) {
        const float(&context)[4] =
            running.context[column / (kPanelColumns / 8)][column % (kPanelColumns / 8)];
        *reinterpret_cast<std::uint32_t*>(to + column * 8) =
            block.thread.Pack(context[2 * row] * inverse, context[2 * row + 1] * inverse);
      }
    }
  }
};

template <int kHeadDim, bool kBiased>
absl::Status LaunchAttention(const Stream& stream, const AttentionArgs& args) {
  using Kernel = AttentionKernel<kHeadDim, kBiased>;
  return Launch<Kernel>(stream, {args.max_blocks, args.heads}, Kernel::kSharedBytes, args);
}

template <int kHeadDim>
absl::Status LaunchForBias(const Stream& stream, const AttentionArgs& args) {
  return args.max_distance > 0 ? LaunchAttention<kHeadDim, true>(stream, args)
                               : LaunchAttention<kHeadDim, false>(stream, args);
}

}  // namespace

absl::Status RunAttention(const Stream& stream, const AttentionArgs& args) {
  switch (args.head_dim) {
    case 16:
      return LaunchForBias<16>(stream, args);
    case 32:
      return LaunchForBias<32>(stream, args);
    case 64:
      return LaunchForBias<64>(stream, args);
    case 128:
      return LaunchForBias<128>(stream, args);
    default:
      return absl::UnimplementedError(absl::StrCat("attention with heads of ", args.head_dim,
                                                   " numbers; expected 16, 32, 64 or 128"));
  }
}

}  // namespace reprise::engine::cuda
