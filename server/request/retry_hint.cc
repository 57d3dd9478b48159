#include "server/request/retry_hint.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace reprise::server {
namespace {

using std::chrono::milliseconds;

constexpr char kPayload[] = "reprise/retry-after-ms";

}  // namespace

absl::Status WithRetryHint(absl::Status status, std::chrono::nanoseconds wait) {
  const auto hint =
      std::clamp(std::chrono::ceil<milliseconds>(wait), milliseconds(1), milliseconds(60'000));
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(hint.count())));
  return status;
}

std::optional<milliseconds> RetryHint(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  std::int64_t count = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &count)) return std::nullopt;
  return milliseconds(count);
}

}  // namespace reprise::server
