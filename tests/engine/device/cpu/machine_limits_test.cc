#include "engine/device/cpu/machine_limits.h"

#include "engine/device/cpu/execution_scope.h"
#include "engine/device/cpu/isa.h"
#include "gtest/gtest.h"

namespace reprise::engine::device {
namespace {

TEST(MachineLimits, AreThereForWhatTheInstructionSetHas) {
  ThreadTeam team({.threads = 2});
  const MachineLimits limits = MeasureMachineLimits(team);
  EXPECT_GT(limits.fp32_flops, 1e9);
  EXPECT_EQ(limits.bf16_flops > 0, ActiveCpuIsa() >= CpuIsa::kAvx512Bf16);
  ASSERT_FALSE(limits.reads.empty());
  for (const ReadRate& read : limits.reads) EXPECT_GT(read.bytes_per_second, 1e6);
}

TEST(MachineLimits, OperationsAreProportionalToRounds) {
  const ExecutionScope scope;
  EXPECT_GT(internal::MultiplyFp32(64), 0);
  EXPECT_EQ(internal::MultiplyFp32(640), 10 * internal::MultiplyFp32(64));
  if (ActiveCpuIsa() < CpuIsa::kAvx512Bf16) return;
  EXPECT_EQ(internal::MultiplyBf16(640), 10 * internal::MultiplyBf16(64));
}

}  // namespace
}  // namespace reprise::engine::device
