#include "server/commands/quantity_text.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace reprise::server::commands {
namespace {

// `value` in the largest unit that leaves it at 1 or more, to three significant digits.
template <std::size_t kUnits>
std::string Scaled(double value, double step, const std::array<const char*, kUnits>& units) {
  std::size_t unit = 0;
  // 999.5 would print as 1000, which is the next unit's 1.00.
  while (std::abs(value) >= (step == 1000 ? 999.5 : step) && unit + 1 < kUnits) {
    value /= step;
    ++unit;
  }
  const double size = std::abs(value);
  const int decimals = unit == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f%s", decimals, value, units[unit]);
  return text.data();
}

}  // namespace

std::string CountText(double count) {
  constexpr std::array<const char*, 6> kUnits = {"", " k", " M", " G", " T", " P"};
  return Scaled(count, 1000, kUnits);
}

std::string ByteText(std::int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {" B", " KiB", " MiB", " GiB", " TiB"};
  return Scaled(static_cast<double>(bytes), 1024, kUnits);
}

}  // namespace reprise::server::commands
