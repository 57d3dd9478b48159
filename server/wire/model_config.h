// A loaded model as the Open Inference Protocol describes it.
#pragma once

#include "inference/grpc_service.pb.h"
#include "inference/model_config.pb.h"
#include "server/request/serving_core.h"

namespace reprise::server::wire {

// Shapes include the leading batch dimension.
inference::ModelMetadataResponse ToModelMetadata(const ModelDescription& description);

// Dims leave the leading batch dimension out. Limits, executors and the reuse plan are in
// `parameters`, under "reprise.<name>"; a limit that does not exist has no entry.
inference::ModelConfig ToModelConfig(const ModelDescription& description);

}  // namespace reprise::server::wire
