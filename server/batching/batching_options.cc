#include "server/batching/batching_options.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::batching {
namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

absl::Status CheckRange(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  if (high == kNoLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", value, "; expected at least ", low));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, "; expected ", low, " to ", high));
}

// A queue that cannot hold one full request would refuse it for ever.
absl::Status CheckHoldsOne(const char* name, std::int64_t bound, const char* batch_name,
                           std::int64_t one) {
  if (bound >= one) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", bound, "; expected at least ", batch_name, ", which is ", one));
}

}  // namespace

absl::Status Validate(const BatchingOptions& options) {
  const BatchingOptions& o = options;
  REPRISE_RETURN_IF_ERROR(CheckRange("max_batch_size", o.max_batch_size, 1, 65536));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_batch_tokens", o.max_batch_tokens, 0, 16777216));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_batch_score_bytes", o.max_batch_score_bytes, 1, kNoLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_delay_us", o.max_queue_delay_us, 0, 10000000));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_requests", o.max_queue_requests, 1, kNoLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_rows", o.max_queue_rows, 1, kNoLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_tokens", o.max_queue_tokens, 1, kNoLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_bytes", o.max_queue_bytes, 1, kNoLimit));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_queue_score_bytes", o.max_queue_score_bytes, 1, kNoLimit));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("ordering_horizon_ms", o.ordering_horizon.count(), 0, 3600000));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_overtakes", o.max_overtakes, 0, 1000000));
  REPRISE_RETURN_IF_ERROR(
      CheckHoldsOne("max_queue_rows", o.max_queue_rows, "max_batch_size", o.max_batch_size));
  return CheckHoldsOne("max_queue_tokens", o.max_queue_tokens, "max_batch_tokens",
                       o.max_batch_tokens);
}

}  // namespace reprise::server::batching
