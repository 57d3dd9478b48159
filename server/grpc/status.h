// The one place where an absl::Status becomes what a caller sees.
#pragma once

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/request/inference_request.h"

namespace reprise::server::grpc {

// Codes carry over one to one. Beyond the code and the message a caller gets, as details:
//   ErrorInfo   when the request was refused: `reason` names the refusal (reprise.v1.RefusalReason
//               without its prefix), `domain` is "reprise"
//   RetryInfo   when trying again can help: Unavailable, ResourceExhausted by a full queue or a
//               used up quota, DeadlineExceeded before the request ran
// Messages longer than 1 KiB are cut: they travel in headers, which clients bound to 8 KiB.
google::rpc::Status ToRpcStatus(const absl::Status& status, RefusalReason refusal);

// The same as the end of a call, with `grpc-retry-pushback-ms` in the trailing metadata of
// `context` where RetryInfo is given, unless for DeadlineExceeded.
::grpc::Status ToGrpcStatus(const absl::Status& status, RefusalReason refusal,
                            ::grpc::ServerContextBase& context);

}  // namespace reprise::server::grpc
