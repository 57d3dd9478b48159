// A loaded model as reprise.v1 describes it: shape, limits, reuse map, predicted savings.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "engine/reuse/cost_model.h"
#include "engine/reuse/reuse_plan.h"
#include "reprise/v1/reprise.pb.h"
#include "server/request/serving_core.h"

namespace reprise::server::grpc {

// InvalidArgument for more than 64 lengths, or one outside 1..limits.max_sequence_tokens. Requires:
// description.model is set.
absl::StatusOr<v1::DescribeModelResponse> DescribeModel(
    const ModelDescription& description, std::span<const std::int64_t> sequence_lengths);

// The parts that need no weights in memory.
v1::ReuseMap ToReuseMap(const engine::reuse::ReusePlan& plan);
v1::PredictedSavings ToPredictedSavings(const engine::reuse::PlanSavings& savings,
                                        std::int64_t sequence_length);
v1::Limits ToLimits(const ModelLimits& limits);

}  // namespace reprise::server::grpc
