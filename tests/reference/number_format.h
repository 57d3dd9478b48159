// Rounding of doubles to the number formats of checkpoint files, by their definitions.
#pragma once

#include <cstdint>

namespace reprise::reference {

enum class NumberFormat { kF32, kF16, kBF16 };

// The nearest number that `format` holds; ties go to the even one. Exact once done: a rounded value
// survives being written in `format` and read back. Requires: |value| is in the format's range.
double Round(double value, NumberFormat format);

// The bits of a value that `format` holds, in the low bytes. Requires: Round(value, format) ==
// value.
std::uint32_t Encode(double value, NumberFormat format);
double Decode(std::uint32_t bits, NumberFormat format);

int BytesOf(NumberFormat format);
const char* NameOf(NumberFormat format);  // as safetensors headers spell it: "F32", "F16", "BF16"

}  // namespace reprise::reference
