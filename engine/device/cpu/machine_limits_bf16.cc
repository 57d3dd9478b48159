// The bf16 part of MachineLimits: dot products of pairs (vdpbf16ps) or of tiles (AMX).
#include <immintrin.h>

#include <array>

#include "engine/device/cpu/amx_tiles.h"
#include "engine/device/cpu/isa.h"
#include "engine/device/cpu/machine_limits.h"

namespace reprise::engine::device::internal {
namespace {

constexpr std::uint16_t kSomeBf16 = 0x3f35;  // 0.707

__attribute__((target("avx512f,avx512bf16"))) double MultiplyPairs(std::int64_t rounds) {
  constexpr int kRows = 6, kVectors = 4;  // as in machine_limits.cc
  const __m512bh pairs = (__m512bh)_mm512_set1_epi16(static_cast<short>(kSomeBf16));
  __m512 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v)
      sums[r][v] = _mm512_set1_ps(0.1f * static_cast<float>(r + v));
  }
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pairs, pairs);
    }
  }
  __m512 total = _mm512_setzero_ps();
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) total = _mm512_add_ps(total, sums[r][v]);
  }
  volatile float kept = _mm512_reduce_add_ps(total);
  static_cast<void>(kept);
  return 2.0 * 32 * static_cast<double>(rounds * kRows * kVectors);
}

double MultiplyTiles(std::int64_t rounds) {
  alignas(64) std::array<std::uint16_t, kTileBytes / 2> operand;
  for (std::size_t i = 0; i < operand.size(); ++i) {
    operand[i] = static_cast<std::uint16_t>(kSomeBf16 + i % 61);
  }
  AmxTiles::Configure();
  AmxTiles::Load<4>(operand.data(), kTileRowBytes);
  AmxTiles::Load<5>(operand.data(), kTileRowBytes);
  AmxTiles::Load<6>(operand.data(), kTileRowBytes);
  AmxTiles::Load<7>(operand.data(), kTileRowBytes);
  for (std::int64_t round = 0; round < rounds; ++round) {
    AmxTiles::Multiply<0, 4, 6>();
    AmxTiles::Multiply<1, 4, 7>();
    AmxTiles::Multiply<2, 5, 6>();
    AmxTiles::Multiply<3, 5, 7>();
  }
  AmxTiles::Release();
  return 2.0 * 4 * 16 * 16 * 32 * static_cast<double>(rounds);
}

}  // namespace

double MultiplyBf16(std::int64_t rounds) {
  if (ActiveCpuIsa() >= CpuIsa::kAmx) return MultiplyTiles(rounds / 16);
  return MultiplyPairs(rounds);
}

}  // namespace reprise::engine::device::internal
