#include "engine/ops/attention.h"

#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "engine/device/cpu/isa.h"
#include "engine/ops/attention_amx-inl.h"
#include "engine/ops/attention_driver.h"
#include "tests/engine/device/cpu/emulated_tiles.h"
#include "tests/engine/ops/test_matrices.h"
#include "tests/reference/tolerance.h"

namespace reprise::engine::ops {
namespace {

using reference::AllClose;
using reference::Matrix;
using reference::Tolerance;

struct Formats {
  DType precision;
  DType score_format;
  bool emulated_amx = false;  // the AMX kernels on tiles in plain C++; both formats are bf16 then
};

// The kernels of this processor, or those for AMX on emulated tiles.
class TestedAttention {
 public:
  TestedAttention(const AttentionOptions& options, bool emulated_amx)
      : options_(options), emulated_amx_(emulated_amx), kernels_(options) {}

  void ComputeHead(const AttentionTask& task) const {
    emulated_amx_ ? Emulated(task).Compute() : kernels_.ComputeHead(task);
  }
  void ReuseHead(const AttentionTask& task) const {
    emulated_amx_ ? Emulated(task).Reuse() : kernels_.ReuseHead(task);
  }
  void RecomputeHead(const AttentionTask& task) const {
    emulated_amx_ ? Emulated(task).Recompute() : kernels_.RecomputeHead(task);
  }

 private:
  using Runner = internal::HeadRunner<internal::AmxKernels<device::EmulatedTiles>>;
  Runner Emulated(const AttentionTask& task) const { return Runner(options_, task); }

  AttentionOptions options_;
  bool emulated_amx_;
  Attention kernels_;
};

// One head in memory, surrounded by other heads' columns as in the engine.
class Head {
 public:
  Head(std::int64_t seq_len, const AttentionOptions& options, std::mt19937& random)
      : options_(options),
        n_(seq_len),
        query_(RandomMatrix(seq_len, options.head_dim, 1.0f, options.precision, random)),
        key_(RandomMatrix(seq_len, options.head_dim, 1.0f, options.precision, random)),
        value_(RandomMatrix(seq_len, options.head_dim, 1.0f, options.precision, random)),
        query_buffer_(Surrounded(query_)),
        key_buffer_(Surrounded(key_)),
        value_buffer_(Surrounded(value_)),
        context_(Allocate(RoundedRows(seq_len) * stride() * 4)),
        scratch_(Allocate(
            internal::ScratchLayout(options.max_seq_len, options.head_dim, internal::kBlockRowsAmx)
                .bytes)),
        probs_(Allocate(seq_len * prob_stride() * 4)),
        factors_(seq_len),
        maxima_(seq_len) {}

  AttentionTask Task() {
    AttentionTask task;
    task.seq_len = n_;
    task.rows = n_;
    task.query = View(query_buffer_);
    task.key = View(key_buffer_);
    task.value = View(value_buffer_);
    task.context = context_.data() + kMargin * element_size();
    task.context_stride = stride();
    task.scratch = scratch_.data();
    return task;
  }
  ScoreBlock Scores() {
    return {
        .probs = probs_.data(), .inverse_row_sums = factors_.data(), .row_stride = prob_stride()};
  }
  // What recomputing needs, and no probabilities.
  ScoreBlock RowStatistics() {
    return {.inverse_row_sums = factors_.data(), .row_maxima = maxima_.data()};
  }

  std::vector<float> Context() const {
    std::vector<float> values;
    for (std::int64_t r = 0; r < n_; ++r) {
      for (std::int64_t c = 0; c < options_.head_dim; ++c) {
        values.push_back(Load(context_.data(), r * stride() + kMargin + c, options_.precision));
      }
    }
    return values;
  }
  void ClearContext() { std::memset(context_.data(), 0, context_.bytes()); }
  bool MarginsAreZero() const {
    for (std::int64_t r = 0; r < n_; ++r) {
      for (std::int64_t c = 0; c < stride(); ++c) {
        const bool inside = c >= kMargin && c < kMargin + options_.head_dim;
        if (!inside && Load(context_.data(), r * stride() + c, options_.precision) != 0)
          return false;
      }
    }
    return true;
  }

  Matrix Probs(const Matrix& bias = {}) const {
    return reference::AttentionProbs(query_, key_, options_.scale, bias);
  }
  std::vector<float> Expected(const Matrix& bias = {}) const {
    return Flat(reference::Context(Probs(bias), value_));
  }

 private:
  static constexpr std::int64_t kMargin = 3;  // odd, so that nothing relies on alignment

  std::int64_t stride() const { return options_.head_dim + 2 * kMargin; }
  std::int64_t prob_stride() const { return memory::AlignUp(n_, 2) + 6; }
  std::int64_t element_size() const {
    return static_cast<std::int64_t>(SizeOf(options_.precision));
  }
  HeadView View(const memory::Buffer& buffer) const {
    return {buffer.data() + kMargin * element_size(), stride()};
  }
  memory::Buffer Surrounded(const Matrix& matrix) const {
    memory::Buffer buffer = Allocate(RoundedRows(n_) * stride() * 4);
    for (std::int64_t r = 0; r < n_; ++r) {
      for (std::int64_t c = 0; c < stride(); ++c) {
        const bool inside = c >= kMargin && c < kMargin + options_.head_dim;
        Store(buffer.data(), r * stride() + c, options_.precision,
              inside ? matrix[r][c - kMargin] : std::nan(""));  // a neighbour must never matter
      }
    }
    return buffer;
  }

  AttentionOptions options_;
  std::int64_t n_;
  Matrix query_, key_, value_;
  memory::Buffer query_buffer_, key_buffer_, value_buffer_, context_, scratch_, probs_;
  std::vector<float> factors_, maxima_;
};

class AttentionTest : public ::testing::TestWithParam<Formats> {
 protected:
  void SetUp() override {
    if (GetParam().emulated_amx && device::ActiveCpuIsa() < device::CpuIsa::kAvx512Bf16) {
      GTEST_SKIP() << "beside tiles these kernels use AVX-512 with bf16";
    }
  }
  TestedAttention Kernels(const AttentionOptions& options) const {
    return TestedAttention(options, GetParam().emulated_amx);
  }
  AttentionOptions Options(std::int64_t head_dim, std::int64_t max_seq_len) const {
    return {.precision = GetParam().precision,
            .score_format = GetParam().score_format,
            .head_dim = head_dim,
            .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
            .max_seq_len = max_seq_len};
  }
  // A bf16 probability is off by up to 2^-9 of itself, the context is a mean of values near 1, and
  // a bf16 context is rounded once more.
  Tolerance ContextTolerance() const {
    const bool rounded =
        GetParam().precision == DType::kBF16 || GetParam().score_format == DType::kBF16;
    return rounded ? Tolerance{8e-3, 5e-3} : Tolerance{5e-6, 1e-5};
  }

  std::mt19937 random_{7};
};

const std::vector<std::array<std::int64_t, 2>> kShapes = {  // seq_len, head_dim
    {1, 1},   {2, 64},  {5, 5},    {6, 32},   {7, 33},   {16, 64},  {17, 64}, {33, 48},
    {64, 64}, {65, 80}, {96, 128}, {127, 64}, {129, 16}, {200, 96}, {257, 64}};

TEST_P(AttentionTest, ComputesTheContextOfAnyShape) {
  for (const auto [n, head_dim] : kShapes) {
    const AttentionOptions options = Options(head_dim, n + 3);
    Head head(n, options, random_);
    Kernels(options).ComputeHead(head.Task());
    EXPECT_THAT(head.Context(), AllClose(head.Expected(), ContextTolerance()))
        << n << " " << head_dim;
    EXPECT_TRUE(head.MarginsAreZero()) << n << " " << head_dim;
  }
}

TEST_P(AttentionTest, StoredScoresAreTheProbabilities) {
  for (const auto [n, head_dim] : kShapes) {
    const AttentionOptions options = Options(head_dim, n);
    Head head(n, options, random_);
    AttentionTask task = head.Task();
    task.scores = head.Scores();
    Kernels(options).ComputeHead(task);
    std::vector<float> probs;
    for (std::int64_t q = 0; q < n; ++q) {
      for (std::int64_t k = 0; k < n; ++k) {
        probs.push_back(Load(static_cast<const std::byte*>(task.scores.probs),
                             q * task.scores.row_stride + k, options.score_format) *
                        task.scores.inverse_row_sums[q]);
      }
    }
    const bool rounded = options.score_format == DType::kBF16;
    EXPECT_THAT(probs, AllClose(Flat(head.Probs()),
                                rounded ? Tolerance{1e-5, 4e-3} : Tolerance{2e-6, 2e-5}))
        << n << " " << head_dim;
  }
}

TEST_P(AttentionTest, ReuseGivesTheBitsOfComputing) {
  for (const auto [n, head_dim] : kShapes) {
    const AttentionOptions options = Options(head_dim, n);
    const TestedAttention attention = Kernels(options);
    Head head(n, options, random_);
    attention.ComputeHead(head.Task());
    const std::vector<float> fused = head.Context();
    head.ClearContext();
    AttentionTask task = head.Task();
    task.scores = head.Scores();
    attention.ComputeHead(task);
    EXPECT_EQ(head.Context(), fused) << n << " " << head_dim;
    head.ClearContext();
    attention.ReuseHead(task);
    EXPECT_EQ(head.Context(), fused) << n << " " << head_dim;
  }
}

TEST_P(AttentionTest, RecomputingGivesTheBitsOfComputing) {
  for (const auto [n, head_dim] : kShapes) {
    const AttentionOptions options = Options(head_dim, n);
    const TestedAttention attention = Kernels(options);
    Head head(n, options, random_);
    AttentionTask task = head.Task();
    task.scores = head.RowStatistics();
    attention.ComputeHead(task);
    const std::vector<float> computed = head.Context();
    head.ClearContext();
    attention.RecomputeHead(task);
    EXPECT_EQ(head.Context(), computed) << n << " " << head_dim;
    EXPECT_TRUE(head.MarginsAreZero()) << n << " " << head_dim;
    head.ClearContext();
    attention.ComputeHead(head.Task());
    EXPECT_EQ(head.Context(), computed) << n << " " << head_dim;
  }
}

TEST_P(AttentionTest, SplittingTheRowsChangesNoBit) {
  const AttentionOptions options = Options(64, 150);
  const TestedAttention attention = Kernels(options);
  Head head(150, options, random_);
  attention.ComputeHead(head.Task());
  const std::vector<float> whole = head.Context();
  for (const std::int64_t chunk : {1, 5, 6, 7, 48, 100}) {
    head.ClearContext();
    for (std::int64_t first = 0; first < 150; first += chunk) {
      AttentionTask task = head.Task();
      task.first_row = first;
      task.rows = std::min(chunk, 150 - first);
      attention.ComputeHead(task);
    }
    EXPECT_EQ(head.Context(), whole) << chunk;
  }
}

TEST_P(AttentionTest, AddsTheClippedRelativeBias) {
  const std::int64_t n = 20, distance = 6;
  const AttentionOptions options = Options(16, n);
  Head head(n, options, random_);
  std::vector<float> table(2 * distance - 1);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = 0.3f * static_cast<float>(i) - 1.0f;
  std::vector<std::int32_t> positions(n);
  for (std::int64_t t = 0; t < n; ++t)
    positions[t] = static_cast<std::int32_t>(t + (t > 9 ? 4 : 0));
  Matrix bias(n, std::vector<double>(n));
  for (std::int64_t q = 0; q < n; ++q) {
    for (std::int64_t k = 0; k < n; ++k) {
      const std::int64_t index =
          std::clamp<std::int64_t>(positions[k] - positions[q] + distance - 1, 0, 2 * distance - 2);
      bias[q][k] = table[index];
    }
  }
  AttentionTask task = head.Task();
  task.bias = {table.data(), distance, positions.data()};
  Kernels(options).ComputeHead(task);
  EXPECT_THAT(head.Context(), AllClose(head.Expected(bias), ContextTolerance()));
}

TEST_P(AttentionTest, RecomputingAddsTheBiasAndKeepsNothing) {
  const AttentionOptions options = Options(16, 21);
  const TestedAttention attention = Kernels(options);
  Head head(21, options, random_);
  const std::vector<float> table = {0.5f, -1.0f, 0.25f};
  AttentionTask task = head.Task();
  task.bias = {table.data(), /*max_distance=*/2, nullptr};
  attention.ComputeHead(task);
  const std::vector<float> computed = head.Context();
  head.ClearContext();
  task.scores = head.RowStatistics();  // zeros: with a bias they are not read
  attention.RecomputeHead(task);
  EXPECT_EQ(head.Context(), computed);
  for (std::int64_t r = 0; r < 21; ++r) {
    EXPECT_EQ(task.scores.row_maxima[r], 0);  // several heads may share them
    EXPECT_EQ(task.scores.inverse_row_sums[r], 0);
  }
}

TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  const AttentionOptions options = [&] {
    AttentionOptions o = Options(32, 40);
    o.scale = 100.0f;  // scores of several hundred: exp of them is infinite
    return o;
  }();
  Head head(40, options, random_);
  Kernels(options).ComputeHead(head.Task());
  for (const float value : head.Context()) EXPECT_TRUE(std::isfinite(value));
}

INSTANTIATE_TEST_SUITE_P(All, AttentionTest,
                         ::testing::Values(Formats{DType::kF32, DType::kF32},
                                           Formats{DType::kF32, DType::kBF16},
                                           Formats{DType::kBF16, DType::kF32},
                                           Formats{DType::kBF16, DType::kBF16},
                                           Formats{DType::kBF16, DType::kBF16, true}),
                         [](const auto& info) {
                           return std::string(Name(info.param.precision)) + "Scores" +
                                  std::string(Name(info.param.score_format)) +
                                  (info.param.emulated_amx ? "EmulatedAmx" : "");
                         });

}  // namespace
}  // namespace reprise::engine::ops
