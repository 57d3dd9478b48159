// Stands in for device::AmxTiles on processors without AMX: the same eight registers in plain C++,
// written from Intel's description of the instructions.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "engine/device/cpu/amx_tiles.h"
#include "engine/tensor/dtype.h"

namespace reprise::engine::device {

struct EmulatedTiles {
  using Tile = std::array<std::array<std::byte, kTileRowBytes>, kTileRows>;

  static void Configure() {
    for (Tile& tile : tiles) tile = Tile();
    configured = true;
  }
  static void Release() { configured = false; }

  template <int kTile>
  static void Zero() {
    tiles.at(kTile) = Tile();
  }
  template <int kTile>
  static void Load(const void* data, std::int64_t stride_bytes) {
    for (std::int64_t row = 0; row < kTileRows; ++row) {
      std::memcpy(tiles.at(kTile)[row].data(),
                  static_cast<const std::byte*>(data) + row * stride_bytes, kTileRowBytes);
    }
  }
  template <int kTile>
  static void Store(void* data, std::int64_t stride_bytes) {
    for (std::int64_t row = 0; row < kTileRows; ++row) {
      std::memcpy(static_cast<std::byte*>(data) + row * stride_bytes, tiles.at(kTile)[row].data(),
                  kTileRowBytes);
    }
  }
  template <int kSum, int kA, int kB>
  static void Multiply() {
    for (std::int64_t m = 0; m < kTileRows; ++m) {
      for (std::int64_t k = 0; k < 16; ++k) {
        for (std::int64_t n = 0; n < 16; ++n) {
          float sum = Read<float>(kSum, m, n);
          sum += Bf16(kA, m, 2 * k) * Bf16(kB, k, 2 * n);
          sum += Bf16(kA, m, 2 * k + 1) * Bf16(kB, k, 2 * n + 1);
          std::memcpy(tiles.at(kSum)[m].data() + n * sizeof(float), &sum, sizeof(sum));
        }
      }
    }
  }

  static inline thread_local std::array<Tile, 8> tiles;
  static inline thread_local bool configured = false;

 private:
  template <typename T>
  static T Read(int tile, std::int64_t row, std::int64_t column) {
    T value;
    std::memcpy(&value, tiles.at(tile)[row].data() + column * sizeof(T), sizeof(T));
    return value;
  }
  static float Bf16(int tile, std::int64_t row, std::int64_t column) {
    return BFloat16{Read<std::uint16_t>(tile, row, column)}.ToFloat();
  }
};

}  // namespace reprise::engine::device
