// Where the time of one reply went, as the parameters that a client may ask for.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "server/request/inference_request.h"

namespace reprise::server {

// The request parameter that asks, a bool.
inline constexpr std::string_view kTimingWish = "reprise_timing";

struct TimingParameter {
  std::string_view name;
  std::int64_t value;
};

// Response parameters, integers >= 0. Microseconds are rounded down: `reprise_queue_us` from
// admission to the start of the batch, `reprise_compute_us` of the whole batch; and what the batch
// held, this request's rows and tokens and others'.
inline std::array<TimingParameter, 4> TimingParameters(const RequestTiming& timing) {
  const auto microseconds = [](std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  };
  return {{{"reprise_queue_us", microseconds(timing.queue)},
           {"reprise_compute_us", microseconds(timing.compute)},
           {"reprise_batch_rows", timing.batch_rows},
           {"reprise_batch_tokens", timing.batch_tokens}}};
}

}  // namespace reprise::server
