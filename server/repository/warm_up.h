// Runs an executor before the first request does, so that this one finds memory and code touched.
#pragma once

#include <stop_token>

#include "absl/status/statusor.h"
#include "engine/executor.h"
#include "server/batching/batch_runner.h"
#include "server/batching/batch_times.h"
#include "server/request/serving_core.h"

namespace reprise::server::repository {

// Runs each of three batches `runs` times: one token, one sequence of the longest length, many
// short sequences. Returns how long they took. Cancelled between two of them once `stop` is
// requested. Internal if the engine fails or answers with a value that is not finite: such a model
// must not become ready.
absl::StatusOr<batching::BatchTimes> WarmUp(const ModelLimits& limits,
                                            const engine::OutputSet& outputs, int runs,
                                            const std::stop_token& stop,
                                            batching::BatchRunner* runner);

}  // namespace reprise::server::repository
