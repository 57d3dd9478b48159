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

REPRISE_GPU float Larger(float a, float b) { return a > b ? a : b; }

// One query tile of one head. Flash attention (arXiv 2307.08691) in base 2, with the probabilities
// of each step kept or taken from where they were kept.
template <int kHeadDim>
struct AttentionKernel {
  using Params = AttentionArgs;
  static constexpr int kThreads = kGroups * kGroupThreads;
  static constexpr int kBlocksPerMultiprocessor = kHeadDim <= 64 ? 2 : 1;
  static constexpr int kSteps = kHeadDim / 16;  // of 16 along the head dimension
  // Matrices lie in shared memory in panels of at most 64 columns, swizzled.
  static constexpr int kPanelColumns = kHeadDim < 64 ? kHeadDim : 64;
  static constexpr int kPanels = kHeadDim / kPanelColumns;
  static constexpr int kPanelSteps = kPanelColumns / 16;
  static constexpr int kRowBytes = kPanelColumns * 2;  // of a panel
  static constexpr int kChunks = kRowBytes / 16;       // of such a row
  static constexpr int kTileBytes = kTile * kHeadDim * 2;
  // Tiles of keys and values that are under way or in use.
  static constexpr int kStages = 3;
  static constexpr int kSharedBytes = (kGroups + 2 * kStages) * kTileBytes;

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
    int head;
    std::int64_t sequence;
    std::int32_t seq_len;
    std::int32_t first_query;  // of this warpgroup, in the sequence
    std::int64_t first_row;    // of the sequence in the micro-batch
    std::int32_t tiles;        // of keys
    Work work;
    bool fused = false;  // computes from what the source kept
  };

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte* shared) {
    if (thread.block_x() >= *params.num_blocks) return;
    const QueryBlock tile = params.blocks[thread.block_x()];
    Block<Thread> block{thread,
                        params,
                        shared,
                        params.roles[thread.block_y()],
                        thread.block_y(),
                        tile.sequence,
                        0,
                        tile.first_row + thread.index() / kGroupThreads * kTile,
                        0,
                        0,
                        Work::kCompute};
    const std::int32_t begin = params.cu_seqlens[tile.sequence];
    block.seq_len = params.cu_seqlens[tile.sequence + 1] - begin;
    block.first_row = begin - params.first_row;
    block.tiles = (block.seq_len + kTile - 1) / kTile;
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
    const reuse::Strategy strategy = block.params.strategies[block.sequence];
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
    const std::int32_t rows_left = block.seq_len - first - row;
#pragma unroll
    for (int rows = 0; rows < kRows; rows += kRowsAtOnce) {
      if (kRows < kRowsAtOnce && row >= kRows) break;
      const bool valid = rows < rows_left;
      block.thread.CopyAsync(target + rows * kRowBytes, valid ? source + rows * stride : from,
                             valid);
    }
  }

  // The stage of tile `key_tile`'s keys or values.
  static REPRISE_GPU std::byte* KeyStage(std::byte* shared, std::int32_t key_tile) {
    return shared + (kGroups + key_tile % kStages) * kTileBytes;
  }
  static REPRISE_GPU std::byte* ValueStage(std::byte* shared, std::int32_t key_tile) {
    return shared + (kGroups + kStages + key_tile % kStages) * kTileBytes;
  }

  // Where keys and values of the block's head come from.
  struct Sources {
    const std::uint16_t* keys = nullptr;  // null: not needed
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
                     (std::int64_t{2} * params.computed + block.head) * kHeadDim;
    return sources;
  }

  // Starts copying a tile, if there is one, as one group of copies.
  template <typename Thread>
  static REPRISE_GPU void CopyTile(const Block<Thread>& block, const Sources& sources,
                                   std::int32_t key_tile) {
    if (key_tile < block.tiles) {
      const std::int32_t first = key_tile * kTile;
      if (sources.keys != nullptr) {
        CopyRows<kTile>(block, sources.keys, sources.key_stride, first,
                        KeyStage(block.shared, key_tile));
      }
      CopyRows<kTile>(block, sources.values, sources.value_stride, first,
                      ValueStage(block.shared, key_tile));
    }
    block.thread.CommitCopies();
  }

  // Waits for a tile and starts copying a later one to where the tile before it was.
  template <typename Thread>
  static REPRISE_GPU void NextTile(const Block<Thread>& block, const Sources& sources,
                                   std::int32_t key_tile) {
    block.thread.template WaitCopies<kStages - 2>();
    block.thread.Sync();
    CopyTile(block, sources, key_tile + kStages - 1);
  }

  template <typename Thread>
  static REPRISE_GPU void ComputeTiles(const Block<Thread>& block, Running& running) {
    const Sources sources = SourcesOf(block);
    std::int64_t stride = 0;
    const std::uint16_t* queries = Projection(block, 0, &stride);
    CopyRows<kBlockQueries>(block, queries, stride,
                            block.first_query / kBlockQueries * kBlockQueries, block.shared);
    for (int tile = 0; tile < kStages - 1; ++tile) CopyTile(block, sources, tile);

    const bool busy = block.first_query < block.seq_len;
    std::uint32_t query[kSteps][4];
    for (std::int32_t key_tile = 0; key_tile < block.tiles; ++key_tile) {
      NextTile(block, sources, key_tile);
      if (!busy) continue;
      // Kept in registers where products leave room for them.
      if (key_tile == 0 || !Thread::kWarpgroupProducts) LoadQueries(block, query);
      Scores scores;
      Multiply(block, query, key_tile, scores);
      const float factor = AddBiasAndMask(block, key_tile, scores);
      Probs probs;
      Exponentiate(block, key_tile, factor, scores, running, probs);
      if (block.work == Work::kComputeAndKeep) Keep(block, key_tile, running, probs);
      AddContext(block, key_tile, probs, running);
    }
    if (busy) FinishSums(block, running);
  }

  template <typename Thread>
  static REPRISE_GPU void ReadTiles(const Block<Thread>& block, Running& running) {
    const Sources sources = SourcesOf(block);
    for (int tile = 0; tile < kStages - 1; ++tile) CopyTile(block, sources, tile);
    const bool busy = block.first_query < block.seq_len;
    Probs probs;
    if (busy) ReadProbs(block, 0, probs);
    for (std::int32_t key_tile = 0; key_tile < block.tiles; ++key_tile) {
      Probs next;
      // On its way while this tile is multiplied.
      if (busy && key_tile + 1 < block.tiles) ReadProbs(block, key_tile + 1, next);
      NextTile(block, sources, key_tile);
      if (!busy) continue;
      float maxima[2];
      ReadMaxima(block, key_tile, maxima);
      Rescale(block.thread, maxima, running);
      AddContext(block, key_tile, probs, running);
#pragma unroll
      for (int step = 0; step < kKeyPairs; ++step) {
#pragma unroll
        for (int part = 0; part < 4; ++part) probs[step][part] = next[step][part];
      }
    }
    if (busy) ReadSums(block, running);
  }

  // The warp's 16 queries as the left operands of kSteps products.
  template <typename Thread>
  static REPRISE_GPU void LoadQueries(const Block<Thread>& block,
                                      std::uint32_t (&query)[kSteps][4]) {
    const int lane = block.thread.index() % kWarpSize;
    const int row = block.thread.index() / kWarpSize * kWarpRows + lane % 16;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      block.thread.LoadMatrices(query[step],
                                block.shared + Offset<kBlockQueries>(row, 2 * step + lane / 16));
    }
  }

  // scores = queries keys^T
  template <typename Thread>
  static REPRISE_GPU void Multiply(const Block<Thread>& block,
                                   const std::uint32_t (&query)[kSteps][4], std::int32_t key_tile,
                                   Scores& scores) {
    const std::byte* keys = KeyStage(block.shared, key_tile);
    if constexpr (Thread::kWarpgroupProducts) {
      block.thread.BeginProducts();
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        block.thread.template WarpgroupMultiply<kRowBytes, false>(
            scores, query[step],
            keys + step / kPanelSteps * (kTile * kRowBytes) + step % kPanelSteps * 32, step > 0);
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
          keys + Offset<kTile>(lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2);
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
    const bool biased = block.role.bias != nullptr;
    if (biased) {
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const float bias = Bias(block, Query(block, part), Key(block, key_tile, column, part));
          scores[column][part] = scores[column][part] * to_base_2 + kLog2E * bias;
        }
      }
    }
    if ((key_tile + 1) * kTile > block.seq_len) {
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const bool past = Key(block, key_tile, column, part) >= block.seq_len;
          if (past) scores[column][part] = kNegativeInfinity;
        }
      }
    }
    return biased ? 1.0f : to_base_2;
  }

  template <typename Thread>
  static REPRISE_GPU float Bias(const Block<Thread>& block, std::int32_t query, std::int32_t key) {
    if (query >= block.seq_len || key >= block.seq_len) return 0;
    const std::int32_t* positions =
        block.params.positions + block.params.cu_seqlens[block.sequence];
    const std::int32_t last = 2 * block.params.max_distance - 2;
    std::int32_t index = positions[key] - positions[query] + block.params.max_distance - 1;
    index = index < 0 ? 0 : index > last ? last : index;
    return block.role.bias[index];
  }

  // Takes the running maximum to `maxima`; what was summed up so far shrinks accordingly.
  template <typename Thread>
  static REPRISE_GPU void Rescale(const Thread& thread, const float (&maxima)[2],
                                  Running& running) {
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

  template <typename Thread>
  static REPRISE_GPU void Exponentiate(const Block<Thread>& block, std::int32_t key_tile,
                                       float factor, Scores& scores, Running& running,
                                       Probs& probs) {
    const Thread& thread = block.thread;
    float maxima[2];
    if (block.work == Work::kRecompute) {
      ReadMaxima(block, key_tile, maxima);
    } else {
      maxima[0] = maxima[1] = kNegativeInfinity;
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          maxima[part / 2] = Larger(maxima[part / 2], scores[column][part]);
        }
      }
#pragma unroll
      for (int row = 0; row < 2; ++row) {  // the four lanes of a row
        maxima[row] = Larger(maxima[row], thread.ShuffleXor(maxima[row], 1));
        maxima[row] = Larger(maxima[row], thread.ShuffleXor(maxima[row], 2));
        maxima[row] = Larger(maxima[row] * factor, running.maximum[row]);
      }
    }
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
    const std::byte* values = ValueStage(block.shared, key_tile);
    if constexpr (Thread::kWarpgroupProducts) {
      block.thread.BeginProducts();
#pragma unroll
      for (int step = 0; step < kKeyPairs; ++step) {
#pragma unroll
        for (int panel = 0; panel < kPanels; ++panel) {
          block.thread.template WarpgroupMultiply<kRowBytes, true>(
              running.context[panel], probs[step],
              values + panel * (kTile * kRowBytes) + step * 16 * kRowBytes, true);
        }
      }
      block.thread.EndProducts();
      return;
    }
    const int lane = block.thread.index() % kWarpSize;
#pragma unroll
    for (int pair = 0; pair < kHeadDim / 16; ++pair) {
      const std::byte* row = values + Offset<kTile>(lane % 16, 2 * pair + lane / 16);
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
    return store.maxima + TileNumber(block, store.max_offsets[block.sequence], key_tile) * kTile;
  }
  // Four numbers of 32 bits for each step of 16 keys, warp and lane: neighbouring lanes,
  // neighbouring 16 bytes.
  template <typename Thread>
  static REPRISE_GPU std::uint32_t* ProbsOf(const Block<Thread>& block, std::int32_t key_tile) {
    const ScoreStore& store = block.params.store;
    const std::int64_t tile = TileNumber(block, store.prob_offsets[block.sequence], key_tile);
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
    if (block.params.strategies[block.sequence] != reuse::Strategy::kStored) return;
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
    const std::uint32_t* from = ProbsOf(block, key_tile);
#pragma unroll
    for (int step = 0; step < kKeyPairs; ++step) {
      const Quad quad = *reinterpret_cast<const Quad*>(from + step * kWarpSize * 4);
#pragma unroll
      for (int part = 0; part < 4; ++part) probs[step][part] = quad.part[part];
    }
  }

  template <typename Thread>
  static REPRISE_GPU void ReadMaxima(const Block<Thread>& block, std::int32_t key_tile,
                                     float (&maxima)[2]) {
    const float* from = MaximaOf(block, key_tile);
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
          query < block.seq_len) {
        SumsOf(block)[query] = running.sum[row];
      }
    }
  }

  template <typename Thread>
  static REPRISE_GPU void ReadSums(const Block<Thread>& block, Running& running) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const std::int32_t query = Query(block, 2 * row);
      running.sum[row] = query < block.seq_len ? SumsOf(block)[query] : 1;
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
      if (query >= block.seq_len) continue;
      const float inverse = 1.0f / running.sum[row];
      std::uint16_t* to = block.params.context + (block.first_row + query) * stride +
                          std::int64_t{block.head} * kHeadDim + block.thread.index() % 4 * 2;
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

template <int kHeadDim>
absl::Status LaunchAttention(const Stream& stream, const AttentionArgs& args) {
  using Kernel = AttentionKernel<kHeadDim>;
  return Launch<Kernel>(stream, {args.max_blocks, args.heads}, Kernel::kSharedBytes, args);
}

}  // namespace

absl::Status RunAttention(const Stream& stream, const AttentionArgs& args) {
  switch (args.head_dim) {
    case 16:
      return LaunchAttention<16>(stream, args);
    case 32:
      return LaunchAttention<32>(stream, args);
    case 64:
      return LaunchAttention<64>(stream, args);
    case 128:
      return LaunchAttention<128>(stream, args);
    default:
      return absl::UnimplementedError(absl::StrCat("attention with heads of ", args.head_dim,
                                                   " numbers; expected 16, 32, 64 or 128"));
  }
}

}  // namespace reprise::engine::cuda
