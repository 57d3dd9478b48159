#include "loadtest/generator/load_options.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/range_check.h"

namespace reprise::loadtest {

absl::Status Validate(const LoadOptions& options) {
  using engine::CheckRange;
  constexpr std::int64_t kMany = 1'000'000'000;
  if (options.model.empty()) {
    return absl::InvalidArgumentError("model is empty; expected the name of a served model");
  }
  if (options.seq_lens.empty()) {
    return absl::InvalidArgumentError("seq_lens is empty; expected at least one length");
  }
  for (const int length : options.seq_lens) {
    REPRISE_RETURN_IF_ERROR(CheckRange("seq_len", length, 1, 65536));
  }
  REPRISE_RETURN_IF_ERROR(CheckRange("vocab_size", options.vocab_size, 1, 1 << 24));
  if (!(options.rate >= 0 && options.rate <= 1e6)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rate is ", options.rate, "; expected 0 to 1000000 calls per second"));
  }
  REPRISE_RETURN_IF_ERROR(CheckRange("concurrency", options.concurrency, 1, 100'000));
  REPRISE_RETURN_IF_ERROR(CheckRange("connections", options.connections, 1, 1024));
  REPRISE_RETURN_IF_ERROR(CheckRange("warm_up (ms)", options.warm_up.count(), 0, kMany));
  REPRISE_RETURN_IF_ERROR(CheckRange("duration (ms)", options.duration.count(), 1, kMany));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_calls", options.max_calls, 0, std::int64_t{1} << 40));
  return CheckRange("deadline (ms)", options.deadline.count(), 0, kMany);
}

}  // namespace reprise::loadtest
