#include "server/grpc/status.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "reprise/v1/reprise.pb.h"

namespace reprise::server::grpc {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxMessageBytes = 1024;

std::string Clip(absl::string_view message) {
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

v1::RefusalReason WireReason(RefusalReason refusal) {
  switch (refusal) {
    case RefusalReason::kNone:
      return v1::REFUSAL_REASON_UNSPECIFIED;
    case RefusalReason::kQueueRequests:
      return v1::REFUSAL_REASON_QUEUE_REQUESTS;
    case RefusalReason::kQueueRows:
      return v1::REFUSAL_REASON_QUEUE_ROWS;
    case RefusalReason::kQueueTokens:
      return v1::REFUSAL_REASON_QUEUE_TOKENS;
    case RefusalReason::kQueueBytes:
      return v1::REFUSAL_REASON_QUEUE_BYTES;
    case RefusalReason::kQueueScoreBytes:
      return v1::REFUSAL_REASON_QUEUE_SCORE_BYTES;
    case RefusalReason::kDeadline:
      return v1::REFUSAL_REASON_DEADLINE;
    case RefusalReason::kQuota:
      return v1::REFUSAL_REASON_QUOTA;
    case RefusalReason::kDraining:
      return v1::REFUSAL_REASON_DRAINING;
    case RefusalReason::kTooLarge:
      return v1::REFUSAL_REASON_TOO_LARGE;
    case RefusalReason::kInvalid:
      return v1::REFUSAL_REASON_INVALID;
  }
  return v1::REFUSAL_REASON_UNSPECIFIED;
}

// How long to wait before trying again; nothing when trying again cannot help.
std::optional<milliseconds> RetryDelay(absl::StatusCode code, RefusalReason refusal) {
  // A full queue empties within a few batches; a draining server has a neighbour that is up.
  constexpr milliseconds kSoon{100};
  // Loading a model takes seconds.
  constexpr milliseconds kLater{1000};
  switch (code) {
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

}  // namespace

::grpc::Status ToGrpcStatus(const absl::Status& status, RefusalReason refusal,
                            ::grpc::ServerContextBase& context) {
  if (status.ok()) {
    return ::grpc::Status::OK;
  }
  const std::string message = Clip(status.message());
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  if (refusal != RefusalReason::kNone) {
    google::rpc::ErrorInfo info;
    info.set_reason(std::string(
        absl::StripPrefix(v1::RefusalReason_Name(WireReason(refusal)), "REFUSAL_REASON_")));
    info.set_domain("reprise");
    details.add_details()->PackFrom(info);
  }
  if (const auto delay = RetryDelay(status.code(), refusal)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay->count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(delay->count() % 1000) * 1'000'000);
    details.add_details()->PackFrom(retry);
    // A deadline cannot be moved by waiting, so gRPC must not retry by itself there.
    if (status.code() != absl::StatusCode::kDeadlineExceeded) {
      context.AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(delay->count()));
    }
  }
  const auto code = static_cast<::grpc::StatusCode>(status.code());
  return details.details().empty() ? ::grpc::Status(code, message)
                                   : ::grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace reprise::server::grpc
