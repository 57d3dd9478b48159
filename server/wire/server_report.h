// The server and its models as the Open Inference Protocol lists them.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"
#include "server/request/serving_core.h"

namespace reprise::server::wire {

// Name, version and the extensions of the protocol that work: clients decide by them what to call.
inference::ServerMetadataResponse ToServerMetadata();

// Unimplemented when a repository is named: this server has one, without a name.
absl::StatusOr<inference::RepositoryIndexResponse> ToRepositoryIndex(
    const std::vector<ModelIndexEntry>& index, const inference::RepositoryIndexRequest& request);

}  // namespace reprise::server::wire
