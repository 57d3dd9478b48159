// The one place where an absl::Status becomes a grpc::Status.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/request/inference_request.h"

namespace reprise::server::grpc {

// Codes carry over one to one. Beyond the code and the message a caller gets:
//   ErrorInfo   in the status details when the request was refused: `reason` names the refusal
//               (reprise.v1.RefusalReason without its prefix), `domain` is "reprise"
//   RetryInfo   in the status details when trying again can help: Unavailable, ResourceExhausted by
//               a full queue or a used up quota, DeadlineExceeded before the request ran
//   grpc-retry-pushback-ms  trailing metadata of `context` for the first two of these
// Messages longer than 1 KiB are cut: they travel in headers, which clients bound to 8 KiB.
::grpc::Status ToGrpcStatus(const absl::Status& status, RefusalReason refusal,
                            ::grpc::ServerContextBase& context);

}  // namespace reprise::server::grpc
