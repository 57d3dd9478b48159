// Keeps a fault of one batch from ending the server.
#pragma once

#include "server/batching/batch_runner.h"

namespace reprise::server::batching {

// runner.Run, with what it throws as a status: ResourceExhausted for memory that could not be had,
// Internal for anything else. The runner is used again for the next batch.
absl::Status RunGuarded(BatchRunner& runner, const engine::RaggedBatch& batch,
                        const engine::OutputSet& wanted, engine::Outputs* outputs) noexcept;

}  // namespace reprise::server::batching
