// The statistics of a version in the words of the Open Inference Protocol.
#pragma once

#include "inference/grpc_service.pb.h"
#include "server/request/model_statistics.h"

namespace reprise::server::wire {

// Every field is set, those of a response cache too, which this server does not have: clients
// expect them. Each request has one response, so that `response_stats` has the one key "0".
inference::ModelStatistics ToModelStatistics(const VersionStatistics& statistics);

}  // namespace reprise::server::wire
