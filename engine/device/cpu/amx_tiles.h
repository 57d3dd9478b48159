// The matrix unit of Intel's AMX: eight tile registers of 16 rows x 64 bytes, and the product of
// two of them.
//
// Kernels take the unit as a template parameter, so that their order of work can be tested on
// processors without AMX by a unit in plain C++ (tests/engine/device/cpu/emulated_tiles.h).
// Instructions are written out because GCC's intrinsics take tile numbers as text, which a template
// cannot give.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reprise::engine::device {

inline constexpr std::int64_t kTileRows = 16;
inline constexpr std::int64_t kTileRowBytes = 64;
inline constexpr std::int64_t kTileBytes = kTileRows * kTileRowBytes;

// Requires: ActiveCpuIsa() == kAmx. State of the calling thread; Configure comes first, Release
// last.
struct AmxTiles {
  // All eight registers get their full size.
  static void Configure() {
    alignas(64) static constexpr struct {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } kConfiguration;
    static_assert(sizeof(kConfiguration) == 64);
    asm volatile("ldtilecfg %0" : : "m"(kConfiguration) : "memory");
  }
  static void Release() { asm volatile("tilerelease" : : : "memory"); }

  template <int kTile>
  static void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  // Row r of the tile from data + r * stride_bytes.
  template <int kTile>
  static void Load(const void* data, std::int64_t stride_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
                 :
                 : "r"(data), "r"(stride_bytes), "i"(kTile)
                 : "memory");
  }
  template <int kTile>
  static void Store(void* data, std::int64_t stride_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
                 :
                 : "r"(data), "r"(stride_bytes), "i"(kTile)
                 : "memory");
  }
  // sum[m, n] += a[m, 2k] * b[k, 2n] + a[m, 2k + 1] * b[k, 2n + 1] over k < 16: bf16 times bf16,
  // sums in fp32. Rows of b hold pairs of neighbouring rows of the mathematical matrix.
  template <int kSum, int kA, int kB>
  static void Multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  }
};

}  // namespace reprise::engine::device
