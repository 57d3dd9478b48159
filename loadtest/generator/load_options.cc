#include "loadtest/generator/load_options.h"

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
  if (options.lengths.empty()) {
    return absl::InvalidArgumentError("lengths is empty; expected at least one length");
  }
  for (const server::simulation::LengthRange& range : options.lengths) {
    REPRISE_RETURN_IF_ERROR(CheckRange("length", range.low, 1, 65536));
    REPRISE_RETURN_IF_ERROR(CheckRange("length", range.high, range.low, 65536));
  }
  for (const char c : options.client_key) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "client_key is '", options.client_key, "'; expected a metadata key of a-z, 0-9, - and _"));
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
  REPRISE_RETURN_IF_ERROR(CheckRange("drain (ms)", options.drain.count(), 1, kMany));
  return CheckRange("deadline (ms)", options.deadline.count(), 0, kMany);
}

}  // namespace reprise::loadtest
