#include "engine/cuda/attention.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/cuda/schedule.h"
#include "engine/tensor/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/cuda/device_array.h"
#include "tests/engine/ops/test_matrices.h"
#include "tests/reference/ops.h"
#include "tests/reference/tolerance.h"
#include "tests/status_matchers.h"

namespace reprise::engine::cuda {
namespace {

using ops::RandomMatrix;
using reference::AllClose;
using reference::Matrix;
using reuse::Strategy;

// Probabilities and context are rounded to bf16 (2^-9 each); values are around 1, so contexts are
// at most that.
constexpr reference::Tolerance kBf16 = {0.02, 0.02};
constexpr int kHeads = 3;
constexpr int kSlots = 2;
constexpr std::int32_t kMaxDistance = 6;

// Lengths around the edges of tiles and of a warp's rows.
const std::vector<std::int32_t> kLengths = {1, 15, 16, 17, 63, 64, 65, 130};

// A layer's input in the engine's layout and its output.
class Layer {
 public:
  Layer(int head_dim, int computed, std::mt19937& random)
      : head_dim_(head_dim), computed_(computed) {
    cu_seqlens_ = {0};
    for (const std::int32_t n : kLengths) cu_seqlens_.push_back(cu_seqlens_.back() + n);
    projected_ = RandomMatrix(rows(), columns(), 1.0f, DType::kBF16, random);
    std::vector<std::uint16_t> bits;
    for (const auto& row : projected_) {
      for (const double value : row) {
        bits.push_back(BFloat16::FromFloat(static_cast<float>(value)).bits);
      }
    }
    bits_ = DeviceArray(bits);
    ForgetContext();
  }
  // NaN: everything must be written.
  void ForgetContext() {
    context_ = DeviceArray<std::uint16_t>(rows() * kHeads * head_dim_, 0xffff);
  }

  std::int64_t rows() const { return cu_seqlens_.back(); }
  std::int64_t columns() const { return (2 * computed_ + kHeads) * head_dim_; }
  // Columns of head `index` of the packed projection, for one sequence.
  Matrix Part(int sequence, int index) const {
    Matrix part;
    for (std::int32_t row = cu_seqlens_[sequence]; row < cu_seqlens_[sequence + 1]; ++row) {
      const auto begin = projected_[row].begin() + index * head_dim_;
      part.emplace_back(begin, begin + head_dim_);
    }
    return part;
  }
  std::vector<float> Context(int sequence, int head) const {
    const std::vector<std::uint16_t> context = context_bits();
    std::vector<float> values;
    for (std::int32_t row = cu_seqlens_[sequence]; row < cu_seqlens_[sequence + 1]; ++row) {
      for (int i = 0; i < head_dim_; ++i) {
        values.push_back(BFloat16{context[(row * kHeads + head) * head_dim_ + i]}.ToFloat());
      }
    }
    return values;
  }

  AttentionArgs Args(const DeviceArray<HeadRole>& roles) {
    return {.heads = kHeads,
            .computed = computed_,
            .head_dim = head_dim_,
            .scale = 1.0f / std::sqrt(static_cast<float>(head_dim_)),
            .projected = bits_.data(),
            .context = context_.data(),
            .roles = roles.data(),
            .store = {}};
  }
  const std::vector<std::int32_t>& cu_seqlens() const { return cu_seqlens_; }
  std::vector<std::uint16_t> context_bits() const { return context_.Values(); }

 private:
  int head_dim_;
  int computed_;
  std::vector<std::int32_t> cu_seqlens_;
  Matrix projected_;
  DeviceArray<std::uint16_t> bits_;
  DeviceArray<std::uint16_t> context_;
};

// A schedule and a store for all sequences at once.
class Plan {
 public:
  Plan(const Layer& layer, int head_dim, Strategy strategy) {
    const std::size_t sequences = kLengths.size();
    std::vector<std::int32_t> block_counts(sequences);
    std::vector<QueryBlock> blocks(layer.rows());
    micro_batches_.reserve(sequences);
    const RaggedBatch batch = {layer.cu_seqlens(), {}, {}, {}};
    MakeSchedule(
        batch, {1 << 20, 1 << 20, 1 << 20, kSlots}, [&](std::int64_t) { return strategy; },
        {blocks, block_counts}, &micro_batches_);
    EXPECT_EQ(micro_batches_.size(), 1u);
    block_counts_ = DeviceArray(block_counts);
    blocks_ = DeviceArray(blocks);
    std::int64_t score_tiles = 0;
    for (const std::int32_t n : kLengths) score_tiles += ScoreTiles(n, kSlots);
    // NaN, and a tile at the end that must stay so.
    probs_ = DeviceArray<std::uint32_t>((score_tiles + 1) * kTileScores / 2, ~0u);
    maxima_ = DeviceArray<float>((score_tiles + 1) * kTile, std::nanf(""));
    sums_ = DeviceArray<float>(kSlots * layer.rows(), std::nanf(""));
    projections_ = DeviceArray<std::uint32_t>(kSlots * 2 * layer.rows() * head_dim / 2, ~0u);
    max_rows_ = layer.rows();
  }

  void Fill(AttentionArgs* args) {
    args->blocks = blocks_.data();
    args->num_blocks = block_counts_.data();
    args->max_blocks =
        micro_batches_[0].blocks + 2;  // as a graph's, which is made for larger batches
    args->store = {.probs = reinterpret_cast<std::uint16_t*>(probs_.data()),
                   .maxima = maxima_.data(),
                   .sums = sums_.data(),
                   .projections = reinterpret_cast<std::uint16_t*>(projections_.data()),
                   .max_rows = max_rows_};
  }
  bool LastTileIsUntouched() const {
    const std::vector<float> maxima = maxima_.Values();
    const std::vector<std::uint32_t> probs = probs_.Values();
    return std::isnan(maxima.back()) && probs.back() == ~0u &&
           std::isnan(maxima[maxima.size() - kTile]) &&
           probs[probs.size() - kTileScores / 2] == ~0u;
  }

 private:
  DeviceArray<std::int32_t> block_counts_;
  DeviceArray<QueryBlock> blocks_;
  std::vector<ScheduledMicroBatch> micro_batches_;
  DeviceArray<std::uint32_t> probs_;
  DeviceArray<float> maxima_, sums_;
  DeviceArray<std::uint32_t> projections_;
  std::int64_t max_rows_ = 0;
};

Matrix BiasMatrix(const std::vector<float>& table, std::int32_t n) {
  Matrix bias = reference::Zeros(n, n);
  for (std::int32_t q = 0; q < n; ++q) {
    for (std::int32_t k = 0; k < n; ++k) {
      bias[q][k] = table[std::clamp(k - q + kMaxDistance - 1, 0, 2 * kMaxDistance - 2)];
    }
  }
  return bias;
}

class CudaAttentionTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { REPRISE_SKIP_WITHOUT_GPU(); }
  int head_dim() const { return GetParam(); }
  std::mt19937 random_{7};
};
INSTANTIATE_TEST_SUITE_P(HeadDims, CudaAttentionTest, ::testing::Values(16, 32, 64, 128));

TEST_P(CudaAttentionTest, ComputedHeadsAgreeWithTheReference) {
  Layer layer(head_dim(), kHeads, random_);
  Plan plan(layer, head_dim(), Strategy::kNone);
  const DeviceArray<HeadRole> roles({{.computed = 0}, {.computed = 1}, {.computed = 2}});
  AttentionArgs args = layer.Args(roles);
  plan.Fill(&args);
  ASSERT_OK(RunAttention(Stream(), args));
  for (int sequence = 0; sequence < static_cast<int>(kLengths.size()); ++sequence) {
    for (int head = 0; head < kHeads; ++head) {
      SCOPED_TRACE("length " + std::to_string(kLengths[sequence]) + ", head " +
                   std::to_string(head));
      const Matrix probs = reference::AttentionProbs(
          layer.Part(sequence, head), layer.Part(sequence, kHeads + head), args.scale, {});
      EXPECT_THAT(layer.Context(sequence, head),
                  AllClose(reference::Flat(
                               reference::Context(probs, layer.Part(sequence, 2 * kHeads + head))),
                           kBf16));
    }
  }
}

// Two layers: heads 0 and 2 of the first keep what the strategy needs, head 0 of the second takes
// that of head 2 and head 1 that of head 0; head 2 computes, so all kinds of heads share a launch.
TEST_P(CudaAttentionTest, ReusingHeadsTakeTheScoresOfTheirSources) {
  std::vector<std::uint16_t> bits_of_first_strategy;
  std::vector<float> table(2 * 2 * kMaxDistance - 1);
  std::vector<float> other_table(table.size());
  std::normal_distribution<float> normal;
  for (float& bias : table) bias = normal(random_);
  for (float& bias : other_table) bias = normal(random_);
  Layer first(head_dim(), kHeads, random_);
  Layer second(head_dim(), 1, random_);
  const DeviceArray device_table(table), device_other_table(other_table);
  std::vector<std::int32_t> positions;
  for (const std::int32_t n : kLengths) {
    for (std::int32_t i = 0; i < n; ++i) positions.push_back(i);
  }
  const DeviceArray device_positions(positions);
  const DeviceArray<HeadRole> first_roles(
      {{.computed = 0, .slot = 0, .bias = device_table.data()},
       {.computed = 1, .bias = device_other_table.data()},
       {.computed = 2, .slot = 1, .bias = device_other_table.data()}});
  const DeviceArray<HeadRole> second_roles({{.slot = 1, .bias = device_other_table.data()},
                                            {.slot = 0, .bias = device_table.data()},
                                            {.computed = 0, .bias = device_table.data()}});
  for (const Strategy strategy : reuse::kReuseStrategies) {
    SCOPED_TRACE(std::string(Name(strategy)));
    Plan plan(first, head_dim(), strategy);
    second.ForgetContext();
    for (Layer* layer : {&first, &second}) {
      AttentionArgs args = layer->Args(layer == &first ? first_roles : second_roles);
      args.positions = device_positions.data();
      args.max_distance = kMaxDistance;
      plan.Fill(&args);
      ASSERT_OK(KeepProjections(Stream(), args));
      ASSERT_OK(RunAttention(Stream(), args));
    }
    EXPECT_TRUE(plan.LastTileIsUntouched());

    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim()));
    for (int sequence = 0; sequence < static_cast<int>(kLengths.size()); ++sequence) {
      SCOPED_TRACE("length " + std::to_string(kLengths[sequence]));
      const auto probs = [&](const Layer& layer, int computed, int head,
                             const std::vector<float>& bias) {
        return reference::AttentionProbs(layer.Part(sequence, head),
                                         layer.Part(sequence, computed + head), scale,
                                         BiasMatrix(bias, kLengths[sequence]));
      };
      const Matrix expected_probs[] = {probs(first, kHeads, 2, other_table),
                                       probs(first, kHeads, 0, table), probs(second, 1, 0, table)};
      for (int head = 0; head < kHeads; ++head) {
        SCOPED_TRACE("head " + std::to_string(head));
        EXPECT_THAT(second.Context(sequence, head),
                    AllClose(reference::Flat(reference::Context(expected_probs[head],
                                                                second.Part(sequence, 2 + head))),
                             kBf16));
      }
    }
    // All strategies give the same bits.
    if (bits_of_first_strategy.empty()) bits_of_first_strategy = second.context_bits();
    EXPECT_EQ(second.context_bits(), bits_of_first_strategy);
  }
}

// A head that takes its own scores back gives the bits that it gave when it computed them.
TEST_P(CudaAttentionTest, ReadingGivesTheBitsOfComputing) {
  Layer layer(head_dim(), kHeads, random_);
  Plan plan(layer, head_dim(), Strategy::kStored);
  const DeviceArray<HeadRole> computing(
      {{.computed = 0, .slot = 0}, {.computed = 1, .slot = 1}, {.computed = 2}});
  AttentionArgs args = layer.Args(computing);
  plan.Fill(&args);
  ASSERT_OK(RunAttention(Stream(), args));
  const std::vector<std::uint16_t> computed = layer.context_bits();
  const DeviceArray<HeadRole> reading({{.slot = 0}, {.slot = 1}, {.computed = 2}});
  args.roles = reading.data();
  ASSERT_OK(RunAttention(Stream(), args));
  EXPECT_EQ(layer.context_bits(), computed);
}

TEST(CudaAttentionErrors, OtherHeadDimensionsAreRefused) {
  AttentionArgs args;
  args.head_dim = 48;
  EXPECT_THAT(RunAttention(Stream(), args),
              testing::StatusIs(absl::StatusCode::kUnimplemented, ::testing::HasSubstr("48")));
  EXPECT_EQ(PaddedHeadDim(48), 64);
  EXPECT_EQ(PaddedHeadDim(129), 0);
}

}  // namespace
}  // namespace reprise::engine::cuda
