#include "server/grpc/status.h"

#include <string>

#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
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

google::rpc::Status ToRpcStatus(const absl::Status& status, RefusalReason refusal) {
  google::rpc::Status rpc;
  rpc.set_code(static_cast<int>(status.code()));
  if (status.ok()) return rpc;
  rpc.set_message(wire::ClipMessage(status.message()));
  if (refusal != RefusalReason::kNone) {
    google::rpc::ErrorInfo info;
    info.set_reason(std::string(
        absl::StripPrefix(v1::RefusalReason_Name(WireReason(refusal)), "REFUSAL_REASON_")));
    info.set_domain("reprise");
    rpc.add_details()->PackFrom(info);
  }
  if (const auto delay = wire::RetryDelay(status, refusal)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay->count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(delay->count() % 1000) * 1'000'000);
    rpc.add_details()->PackFrom(retry);
  }
  return rpc;
}

::grpc::Status ToGrpcStatus(const absl::Status& status, RefusalReason refusal,
                            ::grpc::ServerContextBase& context) {
  if (status.ok()) return ::grpc::Status::OK;
  const google::rpc::Status rpc = ToRpcStatus(status, refusal);
  const auto delay = wire::RetryDelay(status, refusal);
  // A deadline cannot be moved by waiting, so gRPC must not retry by itself there.
  if (delay && status.code() != absl::StatusCode::kDeadlineExceeded) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(delay->count()));
  }
  const auto code = static_cast<::grpc::StatusCode>(status.code());
  return rpc.details().empty() ? ::grpc::Status(code, rpc.message())
                               : ::grpc::Status(code, rpc.message(), rpc.SerializeAsString());
}

}  // namespace reprise::server::grpc
