#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/device/cpu/machine_limits.cc"
#include "hwy/foreach_target.h"
// Must follow foreach_target.h.
#include <algorithm>
#include <chrono>

#include "engine/device/cpu/execution_scope.h"
#include "engine/device/cpu/isa.h"
#include "engine/device/cpu/machine_limits.h"
#include "engine/memory/buffer.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::device {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Independent sums: more than latency times throughput of any multiply-add unit, fewer than there
// are registers. Two short loops, as compilers do not unroll one of 24 rounds.
constexpr int kRows = 6;
constexpr int kVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

}  // namespace

double MultiplyFloats(std::int64_t rounds) {
  const hn::ScalableTag<float> tag;
  using Vector = hn::Vec<decltype(tag)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const Vector factor = hn::Set(tag, 0.71f);
  Vector sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Set(tag, 0.37f * static_cast<float>(r + v));
  }
  for (std::int64_t round = 0; round < rounds; ++round) {
    // sum = 0.71 * sum + 0.71 stays near 2.4, whatever the number of rounds.
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(factor, sums[r][v], factor);
    }
  }
  Vector total = hn::Zero(tag);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) total = hn::Add(total, sums[r][v]);
  }
  volatile float kept = hn::GetLane(total);  // what is never used may never be computed
  static_cast<void>(kept);
  return 2.0 * static_cast<double>(rounds * kRows * kVectors * lanes);
}

void ReadBuffer(const float* data, std::int64_t count) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  constexpr int kStreams = 8;
  auto sums = hn::Zero(tag), others = hn::Zero(tag);
  for (std::int64_t i = 0; i + kStreams * lanes <= count; i += kStreams * lanes) {
    for (int s = 0; s < kStreams; s += 2) {
      sums = hn::Add(sums, hn::LoadU(tag, data + i + s * lanes));
      others = hn::Add(others, hn::LoadU(tag, data + i + (s + 1) * lanes));
    }
  }
  volatile float kept = hn::GetLane(hn::Add(sums, others));
  static_cast<void>(kept);
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::device
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise::engine::device {

HWY_EXPORT(MultiplyFloats);
HWY_EXPORT(ReadBuffer);

double internal::MultiplyFp32(std::int64_t rounds) {
  return HWY_DYNAMIC_DISPATCH(MultiplyFloats)(rounds);
}

namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

// The best of a few measurements, as a limit is what was possible once; over so long that the
// kernel has moved every thread to a core of its own.
constexpr int kLeastMeasurements = 5;
constexpr duration<double> kLeastTime(0.05);

// work(worker) on every thread at once; the sum of what it returns per second of the slowest.
template <typename Work>
double BestRate(ThreadTeam& team, Work work) {
  double best = 0;
  std::vector<double> done(team.size());
  const steady_clock::time_point start = steady_clock::now();
  for (int i = 0; i < kLeastMeasurements || steady_clock::now() - start < kLeastTime; ++i) {
    const steady_clock::time_point begin = steady_clock::now();
    team.ParallelFor(team.size(),
                     [&](std::int64_t task, int) { done[task] = work(static_cast<int>(task)); });
    const duration<double> elapsed = steady_clock::now() - begin;
    double sum = 0;
    for (const double part : done) sum += part;
    best = std::max(best, sum / elapsed.count());
  }
  return best;
}

double MeasureReads(ThreadTeam& team, memory::Buffer& buffer, std::int64_t bytes) {
  const std::int64_t count = bytes / static_cast<std::int64_t>(sizeof(float));
  const std::int64_t passes = std::max<std::int64_t>(1, (std::int64_t{64} << 20) / bytes);
  return BestRate(team, [&](int worker) {
    const float* own = buffer.as<float>() + worker * count;
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      HWY_DYNAMIC_DISPATCH(ReadBuffer)(own, count);
    }
    return static_cast<double>(passes * bytes);
  });
}

}  // namespace

MachineLimits MeasureMachineLimits(ThreadTeam& team) {
  const ExecutionScope scope;
  constexpr std::int64_t kRounds = 1'000'000;
  MachineLimits limits;
  limits.fp32_flops = BestRate(team, [](int) { return internal::MultiplyFp32(kRounds); });
  if (ActiveCpuIsa() >= CpuIsa::kAvx512Bf16) {
    limits.bf16_flops = BestRate(team, [](int) { return internal::MultiplyBf16(kRounds); });
  }
  for (const std::int64_t bytes : {16 << 10, 256 << 10, 4 << 20, 64 << 20}) {
    auto buffer = memory::Buffer::Allocate(memory::Purpose::kScratch, bytes * team.size());
    if (!buffer.ok()) continue;
    // Memory that was never written is one page of zeros, which stays in L1.
    std::fill_n(buffer->as<float>(), buffer->bytes() / sizeof(float), 0.5f);
    limits.reads.push_back({bytes, MeasureReads(team, *buffer, bytes)});
  }
  return limits;
}

}  // namespace reprise::engine::device
#endif  // HWY_ONCE
