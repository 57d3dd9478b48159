#include "engine/cuda/phase_events.h"

#include <utility>

#include "engine/check.h"

namespace reprise::engine::cuda {

absl::Status PhaseEvents::Mark(const Stream& stream) {
  const std::size_t index = phases_.size();
  if (index == events_.size()) {
    REPRISE_ASSIGN_OR_RETURN(Event event, Event::Create());
    events_.push_back(std::move(event));
  }
  return events_[index].Record(stream);
}

absl::Status PhaseEvents::Start(const Stream& stream) {
  phases_.clear();
  return Mark(stream);
}

absl::Status PhaseEvents::EndOf(const Stream& stream, Phase phase) {
  phases_.push_back(phase);
  return Mark(stream);
}

absl::StatusOr<PhaseNanoseconds> PhaseEvents::Times() const {
  PhaseNanoseconds times{};
  for (std::size_t i = 0; i < phases_.size(); ++i) {
    REPRISE_ASSIGN_OR_RETURN(const double nanoseconds, events_[i + 1].NanosecondsSince(events_[i]));
    times[static_cast<int>(phases_[i])] += nanoseconds;
  }
  return times;
}

}  // namespace reprise::engine::cuda
