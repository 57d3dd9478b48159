// What Run allocates once it is warm: nothing of ours, nothing as large as a tensor by anybody,
// nothing that stays.
//
// The program's own malloc family counts every allocation of the process, oneDNN's included.

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/cpu/isa.h"
#include "engine/executor.h"
#include "tests/engine/cpu_precisions.h"
#include "tests/engine/tiny_model.h"

namespace {

constexpr std::size_t kLarge = 4096;  // bytes; the smallest tensor of these tests is larger

std::atomic<bool> g_counting = false;
std::atomic<std::int64_t> g_allocations = 0;
std::atomic<std::int64_t> g_large = 0;
std::atomic<std::int64_t> g_frees = 0;
std::atomic<std::size_t> g_largest = 0;

void Count(std::size_t bytes) {
  if (!g_counting.load(std::memory_order_relaxed)) return;
  ++g_allocations;
  if (bytes > kLarge) ++g_large;
  if (bytes > g_largest) g_largest = bytes;
}

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t);
void __libc_free(void*);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) {
  Count(bytes);
  return __libc_malloc(bytes);
}
void free(void* block) {
  if (block != nullptr && g_counting.load(std::memory_order_relaxed)) ++g_frees;
  __libc_free(block);
}
void* calloc(std::size_t count, std::size_t bytes) {
  Count(count * bytes);
  return __libc_calloc(count, bytes);
}
void* realloc(void* block, std::size_t bytes) {
  Count(bytes);
  return __libc_realloc(block, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  Count(bytes);
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  Count(bytes);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) {
  Count(bytes);
  *block = __libc_memalign(alignment, bytes);
  return *block != nullptr ? 0 : ENOMEM;
}
}

namespace reprise::engine {
namespace {

struct Counts {
  std::int64_t allocations = 0;
  std::int64_t large = 0;
  std::int64_t kept = 0;  // allocations less frees
  std::size_t largest = 0;
};

struct Case {
  Precision precision;
  ReuseStrategy strategy;
  int threads;
};

class ExecutorAllocationTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().precision == Precision::kBF16 && !CpuMultipliesBf16()) {
      GTEST_SKIP() << "no bf16 arithmetic on " << device::DescribeCpuIsa();
    }
    architectures::BertConfig config = TinyConfig();
    config.hidden_size = 256;
    config.intermediate_size = 1024;
    config.max_position_embeddings = 256;
    config.pooling = architectures::Pooling::kMean;
    auto executor = Executor::Create(TinyModel(GetParam().precision, config),
                                     {.threads = GetParam().threads,
                                      .max_batch_tokens = 2048,
                                      .max_batch_sequences = 64,
                                      .strategy = GetParam().strategy});
    ASSERT_OK(executor);
    executor_ = *std::move(executor);
  }

  Counts CountRun(std::int64_t sequences, std::int32_t seq_len) {
    std::vector<std::int32_t> cu_seqlens = {0};
    for (std::int64_t s = 0; s < sequences; ++s) cu_seqlens.push_back(cu_seqlens.back() + seq_len);
    const std::vector<std::int32_t> ids(cu_seqlens.back(), 7);
    const RaggedBatch batch = {cu_seqlens, ids, {}, {}};
    const OutputSet wanted = {.last_hidden_state = true, .sentence_embedding = true};
    Outputs outputs;
    EXPECT_OK(executor_->Run(batch, wanted, &outputs));  // warm
    g_allocations = g_large = g_frees = 0;
    g_largest = 0;
    g_counting = true;
    const absl::Status status = executor_->Run(batch, wanted, &outputs);
    g_counting = false;
    EXPECT_OK(status);
    return {g_allocations, g_large, g_allocations - g_frees, g_largest};
  }

  std::unique_ptr<Executor> executor_;
};

TEST_P(ExecutorAllocationTest, NoTensorIsAllocated) {
  for (const auto& [sequences, seq_len] :
       std::vector<std::pair<std::int64_t, std::int32_t>>{{1, 5}, {1, 200}, {8, 256}, {64, 32}}) {
    const Counts counts = CountRun(sequences, seq_len);
    EXPECT_EQ(counts.large, 0) << sequences << " x " << seq_len << ", largest " << counts.largest;
    EXPECT_EQ(counts.kept, 0) << sequences << " x " << seq_len;
  }
}

TEST_P(ExecutorAllocationTest, SmallAllocationsDoNotGrowWithTheBatch) {
  // oneDNN does a little bookkeeping for each matrix product that it runs: its size must not depend
  // on the product's. One thread, because more of them cut the same rows into more products.
  if (GetParam().threads > 1) GTEST_SKIP() << "the number of products depends on the threads";
  const Counts few = CountRun(1, 16);
  const Counts many =
      CountRun(8, 16);  // 8 times the rows in as many products: one row block either way
  EXPECT_EQ(many.allocations, few.allocations);
  EXPECT_EQ(many.largest, few.largest);
}

std::string NameOfCase(const ::testing::TestParamInfo<Case>& info) {
  const char* const strategies[] = {"Auto", "Stored", "Recompute", "Fused"};
  return std::string(info.param.precision == Precision::kF32 ? "Fp32" : "Bf16") +
         strategies[static_cast<int>(info.param.strategy)] + std::to_string(info.param.threads);
}
INSTANTIATE_TEST_SUITE_P(All, ExecutorAllocationTest,
                         ::testing::Values(Case{Precision::kF32, ReuseStrategy::kStored, 1},
                                           Case{Precision::kF32, ReuseStrategy::kFused, 2},
                                           Case{Precision::kF32, ReuseStrategy::kRecompute, 1},
                                           Case{Precision::kBF16, ReuseStrategy::kAuto, 1},
                                           Case{Precision::kBF16, ReuseStrategy::kStored, 2},
                                           Case{Precision::kBF16, ReuseStrategy::kFused, 1}),
                         NameOfCase);

}  // namespace
}  // namespace reprise::engine
