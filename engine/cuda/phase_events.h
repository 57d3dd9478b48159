// How long the phases of a run took on the device.
#pragma once

#include <array>
#include <vector>

#include "absl/status/status.h"
#include "engine/cuda/stream.h"
#include "engine/execution_report.h"

namespace reprise::engine::cuda {

using PhaseNanoseconds = std::array<double, kNumPhases>;

// Events between the phases of one run. An event takes the device about as long as a small kernel,
// so runs are not always measured.
class PhaseEvents {
 public:
  // Marks where the first phase begins.
  absl::Status Start(const Stream& stream);
  // The time since the last mark belongs to `phase`.
  absl::Status EndOf(const Stream& stream, Phase phase);
  // Requires: all work before the last mark is done.
  absl::StatusOr<PhaseNanoseconds> Times() const;

 private:
  absl::Status Mark(const Stream& stream);

  std::vector<Event> events_;  // kept from run to run
  std::vector<Phase> phases_;  // phases_[i] lies between events i and i + 1
};

}  // namespace reprise::engine::cuda
