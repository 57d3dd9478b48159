#include "server/wire/retry_hint.h"

#include "server/request/retry_hint.h"

namespace reprise::server::wire {

using std::chrono::milliseconds;

std::optional<milliseconds> RetryDelay(const absl::Status& status, RefusalReason refusal) {
  if (const auto hint = RetryHint(status)) return hint;
  // A full queue empties within a few batches; a draining server has a neighbour that is up.
  constexpr milliseconds kSoon{100};
  // Loading a model takes seconds.
  constexpr milliseconds kLater{1000};
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      // Not for a request or reply that is too large: it will not shrink by waiting.
      return refusal == RefusalReason::kNone || refusal == RefusalReason::kTooLarge
                 ? std::nullopt
                 : std::optional(kSoon);
    case absl::StatusCode::kUnavailable:
      return refusal == RefusalReason::kDraining ? kSoon : kLater;
    case absl::StatusCode::kDeadlineExceeded:
      return refusal == RefusalReason::kDeadline ? std::optional(kSoon) : std::nullopt;
    default:
      return std::nullopt;
  }
}

absl::Status Draining() {
  return absl::UnavailableError("the server is shutting down; call another replica");
}

std::string ClipMessage(absl::string_view message) {
  constexpr std::size_t kMaxMessageBytes = 1024;
  if (message.size() <= kMaxMessageBytes) {
    return std::string(message);
  }
  std::size_t end = kMaxMessageBytes;
  // Bytes 10xxxxxx continue a UTF-8 character: do not cut inside one.
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) {
    --end;
  }
  return std::string(message.substr(0, end)) + "...";
}

}  // namespace reprise::server::wire
