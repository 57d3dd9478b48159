// How much of its time a request must have left when it is admitted, learnt from what becomes of
// those that were.
#pragma once

#include <algorithm>
#include <chrono>

#include "server/request/inference_request.h"

namespace reprise::server::batching {

// Under overload a queue fills up to what admission allows. Were that the deadline itself, whoever
// is first in line could hardly wait any longer, batches would close early for its sake, small ones
// would take more time for each token, and still more requests would be late. So a share of the
// time is kept free: more whenever an admitted request expires or a batch had to stay small, less
// with every batch that had not. Increases are a few times as large as decreases, as in every
// scheme that must find the edge of a capacity without living on it. Not thread-safe.
class DeadlineReserve {
 public:
  using TimePoint = SteadyClock::time_point;

  // When a request that is considered at `now` must be done by prediction.
  TimePoint Latest(TimePoint deadline, TimePoint now) const {
    return deadline - std::chrono::duration_cast<TimePoint::duration>(share_ * (deadline - now));
  }
  // Admitted requests expired, or the next batch is small because a member could not wait.
  void OnPressure() { share_ = std::min(kMost, share_ + kMore); }
  void OnRelief() { share_ *= kLess; }
  double share() const { return share_; }

 private:
  static constexpr double kMore = 0.02;
  static constexpr double kLess = 0.99;
  static constexpr double kMost = 0.5;

  double share_ = 0;
};

}  // namespace reprise::server::batching
