#include "server/grpc/status.h"

#include <string>

#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "reprise/v1/reprise.pb.h"
#include "server/wire/retry_hint.h"

namespace reprise::server::grpc {
namespace {

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

}  // namespace

::grpc::Status ToGrpcStatus(const absl::Status& status, RefusalReason refusal,
                            ::grpc::ServerContextBase& context) {
  if (status.ok()) {
    return ::grpc::Status::OK;
  }
  const std::string message = wire::ClipMessage(status.message());
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
  if (const auto delay = wire::RetryDelay(status, refusal)) {
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
