// Tensor elements between fp32 in memory and the little-endian bytes of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "engine/tensor/dtype.h"

namespace reprise::engine::weights {

// The element type that safetensors calls `name` ("F32", "F16", "BF16"); nullopt for any other.
std::optional<DType> ParseDType(std::string_view name);

// Bits of the nearest IEEE binary16, ties to even; infinity where |value| >= 65520, NaN stays NaN.
std::uint16_t FloatToHalf(float value);

// values[i] = element i of `bytes`, exactly. No alignment is needed.
// Requires: bytes.size() == values.size() * SizeOf(dtype).
void DecodeElements(DType dtype, std::span<const std::byte> bytes, std::span<float> values);

// The inverse; rounds to nearest even where dtype is narrower than fp32.
// Requires: bytes.size() == values.size() * SizeOf(dtype).
void EncodeElements(DType dtype, std::span<const float> values, std::span<std::byte> bytes);

}  // namespace reprise::engine::weights
