#include "engine/weights/element_codec.h"

#include <bit>
#include <cstring>

#include "engine/check.h"

namespace reprise::engine::weights {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian and are copied as they are");

template <typename FromBits>
void Decode16(std::span<const std::byte> bytes, std::span<float> values, FromBits from_bits) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = from_bits(bits);
  }
}

template <typename ToBits>
void Encode16(std::span<const float> values, std::span<std::byte> bytes, ToBits to_bits) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits = to_bits(values[i]);
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
}

}  // namespace

std::optional<DType> ParseDType(std::string_view name) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    if (name == Name(dtype)) return dtype;
  }
  return std::nullopt;
}

std::uint16_t FloatToHalf(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint16_t sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;   // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // 65520, half way past the largest half
  if (magnitude < 0x38800000u) {                        // below 2^-14: a multiple of 2^-24
    // Adding 0.5 puts 2^-24 at the last place of the sum, and the addition rounds to even.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(sum) - 0x3f000000u);
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return sign | static_cast<std::uint16_t>((rounded >> 13) - (112u << 10));
}

void DecodeElements(DType dtype, std::span<const std::byte> bytes, std::span<float> values) {
  REPRISE_CHECK(bytes.size() == values.size() * SizeOf(dtype));
  switch (dtype) {
    case DType::kF32:
      if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
      return;
    case DType::kBF16:
      Decode16(bytes, values, [](std::uint16_t bits) { return BFloat16{bits}.ToFloat(); });
      return;
    case DType::kF16:
      Decode16(bytes, values, HalfToFloat);
      return;
  }
}

void EncodeElements(DType dtype, std::span<const float> values, std::span<std::byte> bytes) {
  REPRISE_CHECK(bytes.size() == values.size() * SizeOf(dtype));
  switch (dtype) {
    case DType::kF32:
      if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
      return;
    case DType::kBF16:
      Encode16(values, bytes, [](float value) { return BFloat16::FromFloat(value).bits; });
      return;
    case DType::kF16:
      Encode16(values, bytes, FloatToHalf);
      return;
  }
}

}  // namespace reprise::engine::weights
