// What the calls that load and unload models say.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"
#include "server/request/serving_core.h"

namespace reprise::server::wire {

struct ControlRequest {
  std::string model;
  ControlParameters parameters;  // bytes as text
};

// Without `model_name` the field `repository_name` is the model, which is where KServe's protos put
// it. Unimplemented when both are set: there is one repository, and it has no name.
// InvalidArgument for a parameter without a value.
absl::StatusOr<ControlRequest> ToControlRequest(inference::RepositoryModelLoadRequest message);
absl::StatusOr<ControlRequest> ToControlRequest(inference::RepositoryModelUnloadRequest message);

}  // namespace reprise::server::wire
