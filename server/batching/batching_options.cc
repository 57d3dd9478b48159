#include "server/batching/batching_options.h"

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/range_check.h"

namespace reprise::server::batching {
namespace {

using engine::CheckRange;
using engine::kNoUpperLimit;

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
      CheckRange("max_batch_score_bytes", o.max_batch_score_bytes, 1, kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_delay_us", o.max_queue_delay_us, 0, 10000000));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_requests", o.max_queue_requests, 1, kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_rows", o.max_queue_rows, 1, kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_tokens", o.max_queue_tokens, 1, kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_queue_bytes", o.max_queue_bytes, 1, kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_queue_score_bytes", o.max_queue_score_bytes, 1, kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("ordering_horizon_ms", o.ordering_horizon.count(), 0, 3600000));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_overtakes", o.max_overtakes, 0, 1000000));
  REPRISE_RETURN_IF_ERROR(CheckRange("queue_timeout_ms", o.queue_timeout.count(), 0, 3600000));
  REPRISE_RETURN_IF_ERROR(CheckRange("priority_levels", o.priority_levels, 1, 16));
  REPRISE_RETURN_IF_ERROR(CheckRange("default_priority", o.default_priority, 1, o.priority_levels));
  REPRISE_RETURN_IF_ERROR(CheckRange("priority_ageing_ms", o.priority_ageing.count(), 1, 3600000));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_client_keys", o.max_client_keys, 1, 65536));
  REPRISE_RETURN_IF_ERROR(
      CheckHoldsOne("max_queue_rows", o.max_queue_rows, "max_batch_size", o.max_batch_size));
  return CheckHoldsOne("max_queue_tokens", o.max_queue_tokens, "max_batch_tokens",
                       o.max_batch_tokens);
}

}  // namespace reprise::server::batching
