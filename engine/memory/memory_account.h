// How many bytes the engine holds, by purpose.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace reprise::engine::memory {

enum class Purpose { kWeights, kActivations, kScores, kScratch };
inline constexpr int kNumPurposes = 4;

constexpr std::string_view Name(Purpose purpose) {
  switch (purpose) {
    case Purpose::kWeights:
      return "weights";
    case Purpose::kActivations:
      return "activations";
    case Purpose::kScores:
      return "scores";
    case Purpose::kScratch:
      return "scratch";
  }
  return "?";
}

// Process-wide totals of live engine buffers. Thread-safe.
class MemoryAccount {
 public:
  static MemoryAccount& Process();  // in the host's memory
  static MemoryAccount& Devices();  // in the memory of GPUs, all together

  void Add(Purpose purpose, std::int64_t bytes) {
    bytes_[static_cast<int>(purpose)].fetch_add(bytes, std::memory_order_relaxed);
  }
  std::int64_t bytes(Purpose purpose) const {
    return bytes_[static_cast<int>(purpose)].load(std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::int64_t>, kNumPurposes> bytes_{};
};

}  // namespace reprise::engine::memory
