// Element types of tensors in files, in memory and on the device.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace reprise::engine {

enum class DType : std::uint8_t { kF32, kBF16, kF16 };

constexpr std::size_t SizeOf(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

constexpr std::string_view Name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
  }
  return "?";
}

// bfloat16: the upper half of an IEEE binary32. Conversion from float rounds to nearest even; NaN
// stays NaN.
struct BFloat16 {
  std::uint16_t bits = 0;

  static constexpr BFloat16 FromFloat(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
      return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};  // quieten, never round NaN to inf
    }
    return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
  }
  constexpr float ToFloat() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  friend constexpr bool operator==(BFloat16, BFloat16) = default;
};
static_assert(sizeof(BFloat16) == 2);

// IEEE binary16 to float, exact for every value. Only files hold F16; the engine computes in F32 or
// BF16.
constexpr float HalfToFloat(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu;
  std::uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  if (mantissa == 0) return std::bit_cast<float>(sign);
  std::uint32_t shift = 0;  // subnormal: normalise the mantissa
  while ((mantissa & 0x400u) == 0) {
    mantissa <<= 1;
    ++shift;
  }
  return std::bit_cast<float>(sign | ((113 - shift) << 23) | ((mantissa & 0x3ffu) << 13));
}

}  // namespace reprise::engine
