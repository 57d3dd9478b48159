#include "tests/reference/number_format.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace reprise::reference {
namespace {

// IEEE 754 binary interchange formats, and bfloat16 which follows the same scheme.
struct Layout {
  int exponent_bits;
  int fraction_bits;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};

Layout LayoutOf(NumberFormat format) {
  switch (format) {
    case NumberFormat::kF16:
      return {5, 10};
    case NumberFormat::kBF16:
      return {8, 7};
    case NumberFormat::kF32:
      break;
  }
  return {8, 23};
}

// Exponent of the leading bit, not below that of the smallest normal number: smaller values are
// subnormal and share its spacing.
int ExponentOf(double value, Layout layout) {
  return std::max(std::ilogb(value), 1 - layout.bias());
}

}  // namespace

double Round(double value, NumberFormat format) {
  if (value == 0) return value;
  const Layout layout = LayoutOf(format);
  const double spacing = std::ldexp(1.0, ExponentOf(value, layout) - layout.fraction_bits);
  return std::nearbyint(value / spacing) * spacing;  // the default rounding mode is to nearest even
}

std::uint32_t Encode(double value, NumberFormat format) {
  const Layout layout = LayoutOf(format);
  const std::uint32_t sign = std::signbit(value) ? 1u : 0u;
  std::uint32_t magnitude = 0;
  if (value != 0) {
    const int exponent = ExponentOf(value, layout);
    // 1.fraction for normal numbers, 0.fraction for subnormal ones, as an integer.
    const auto significand =
        static_cast<std::uint32_t>(std::ldexp(std::abs(value), layout.fraction_bits - exponent));
    // The implicit leading one of a normal number adds 1 to the exponent field.
    magnitude = (static_cast<std::uint32_t>(exponent + layout.bias() - 1) << layout.fraction_bits) +
                significand;
  }
  return (sign << (layout.exponent_bits + layout.fraction_bits)) | magnitude;
}

double Decode(std::uint32_t bits, NumberFormat format) {
  const Layout layout = LayoutOf(format);
  const std::uint32_t fraction = bits & ((1u << layout.fraction_bits) - 1);
  const int field = (bits >> layout.fraction_bits) & ((1u << layout.exponent_bits) - 1);
  const bool negative = ((bits >> (layout.exponent_bits + layout.fraction_bits)) & 1u) != 0;
  double magnitude = 0;
  if (field == (1 << layout.exponent_bits) - 1) {
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  } else if (field == 0) {
    magnitude = std::ldexp(fraction, 1 - layout.bias() - layout.fraction_bits);
  } else {
    magnitude = std::ldexp(fraction + std::ldexp(1.0, layout.fraction_bits),
                           field - layout.bias() - layout.fraction_bits);
  }
  return negative ? -magnitude : magnitude;
}

int BytesOf(NumberFormat format) { return format == NumberFormat::kF32 ? 4 : 2; }

const char* NameOf(NumberFormat format) {
  switch (format) {
    case NumberFormat::kF16:
      return "F16";
    case NumberFormat::kBF16:
      return "BF16";
    case NumberFormat::kF32:
      break;
  }
  return "F32";
}

}  // namespace reprise::reference
