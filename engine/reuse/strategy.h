// How the reuse heads of one sequence get their scores in one reuse group.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace reprise::engine::reuse {

enum class Strategy : std::uint8_t {
  kNone,       // the group has no reuse head
  kStored,     // the source's probabilities are kept and read
  kRecompute,  // its queries, keys, row maxima and row sums are kept, and scores rebuilt from them
  kFused,      // its queries and keys are kept: ordinary attention on them
};

inline constexpr std::array<Strategy, 3> kReuseStrategies = {
    Strategy::kStored, Strategy::kRecompute, Strategy::kFused};

constexpr std::string_view Name(Strategy strategy) {
  switch (strategy) {
    case Strategy::kStored:
      return "stored";
    case Strategy::kRecompute:
      return "recompute";
    case Strategy::kFused:
      return "fused";
    case Strategy::kNone:
      break;
  }
  return "none";
}

}  // namespace reprise::engine::reuse
