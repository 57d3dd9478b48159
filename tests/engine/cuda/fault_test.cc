// What becomes of a device that fails: memory that runs out at any moment, errors that end it.
#include <cstdlib>
#include <memory>
#include <vector>

#include "engine/device_health.h"
#include "engine/executor.h"
#include "engine/memory/memory_account.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/cuda/emulated_stream.h"
#include "tests/engine/cuda/random_gpu_config.h"
#include "tests/engine/run_executor.h"
#include "tests/reference/random_model.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::cuda {
namespace {

constexpr DeviceId kGpu = {DeviceId::Kind::kCuda, 0};

std::int64_t DeviceBytes() {
  std::int64_t bytes = 0;
  for (int purpose = 0; purpose < memory::kNumPurposes; ++purpose) {
    bytes += memory::MemoryAccount::Devices().bytes(static_cast<memory::Purpose>(purpose));
  }
  return bytes;
}

class CudaFaultTest : public ::testing::Test {
 protected:
  CudaFaultTest() {
    reference::WriteCheckpoint(
        scratch_.path(),
        RandomModel(RandomGpuConfig(reference::ReuseRecipe::Kind::kProposed, random_),
                    reference::NumberFormat::kBF16, random_),
        {});
  }
  ~CudaFaultTest() override { Faults() = {}; }

  // A model and an executor for it.
  absl::StatusOr<std::unique_ptr<Executor>> Load() {
    absl::StatusOr<std::shared_ptr<const Model>> model =
        Model::Load(scratch_.path(), ModelOptions{Precision::kAuto, kGpu});
    if (!model.ok()) return model.status();
    ExecutorOptions options;
    options.max_batch_tokens = 64;
    return Executor::Create(*std::move(model), options);
  }
  absl::Status Run(Executor& executor) {
    const std::vector<std::int32_t> cu_seqlens = {0, 3}, ids = {1, 2, 3};
    Outputs outputs;
    return executor.Run({cu_seqlens, ids, {}, {}}, {.last_hidden_state = true}, &outputs);
  }

  reference::Random random_{5};
  testing::TemporaryDirectory scratch_;
};

TEST_F(CudaFaultTest, MemoryThatRunsOutAtAnyMomentIsGivenBackAndAskedForAgain) {
  const std::int64_t before = DeviceBytes();
  int failed = 0;
  for (bool loaded = false; !loaded; ++failed) {
    ASSERT_LT(failed, 10000);
    Faults().allocations_left = failed;
    const auto executor = Load();
    loaded = executor.ok();
    if (loaded) break;
    ASSERT_EQ(executor.status().code(), absl::StatusCode::kResourceExhausted) << executor.status();
    ASSERT_EQ(DeviceBytes(), before) << "after " << failed << " allocations";
  }
  EXPECT_GT(failed, 20);
  Faults() = {};
  const auto executor = Load();
  ASSERT_OK(executor);
  EXPECT_OK(Run(**executor));
}

TEST_F(CudaFaultTest, AnErrorThatEndsTheDeviceIsRememberedAndRunsAreRefused) {
  const auto executor = Load();
  ASSERT_OK(executor);
  ASSERT_OK(Run(**executor));
  EXPECT_FALSE(DeviceIsLost());
  // In a process of its own: what is lost stays lost.
  EXPECT_EXIT(
      {
        Faults().of_waiting = cudaErrorIllegalAddress;
        const bool failed = Run(**executor).code() == absl::StatusCode::kInternal;
        Faults() = {};
        const absl::Status refused = Run(**executor);
        const bool says_so = refused.message().find("start it anew") != refused.message().npos;
        std::_Exit(failed && DeviceIsLost() && says_so ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(CudaFaultTest, AnErrorThatPassesFailsOneRunOnly) {
  const auto executor = Load();
  ASSERT_OK(executor);
  ASSERT_OK(Run(**executor));
  Faults().of_waiting = cudaErrorMemoryAllocation;
  EXPECT_EQ(Run(**executor).code(), absl::StatusCode::kResourceExhausted);
  Faults() = {};
  EXPECT_OK(Run(**executor));
  EXPECT_FALSE(DeviceIsLost());
}

}  // namespace
}  // namespace reprise::engine::cuda
