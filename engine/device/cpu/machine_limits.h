// The most that this machine's arithmetic units and memory can do, measured: what the rate of a
// kernel is judged by.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/device/cpu/thread_team.h"

namespace reprise::engine::device {

// Reading a buffer again and again, each thread its own.
struct ReadRate {
  std::int64_t buffer_bytes = 0;  // per thread; small ones stay in a cache
  double bytes_per_second = 0;    // of all threads together
};

// Of all threads of a team together.
struct MachineLimits {
  double fp32_flops = 0;        // per second; a multiply-add counts as two
  double bf16_flops = 0;        // 0: the active instruction set has no bf16 products
  std::vector<ReadRate> reads;  // by ascending buffer size
};

// Takes about half a second. ResourceExhausted never: buffers are at most 64 MiB per thread, and a
// size whose memory cannot be had is left out.
MachineLimits MeasureMachineLimits(ThreadTeam& team);

namespace internal {

// Multiply-adds on registers that hold random numbers (zeros may be multiplied faster), `rounds`
// times. Returns how many floating-point operations that was.
double MultiplyFp32(std::int64_t rounds);
double MultiplyBf16(std::int64_t rounds);  // Requires: ActiveCpuIsa() >= kAvx512Bf16

}  // namespace internal
}  // namespace reprise::engine::device
