#include "server/batching/guarded_run.h"

#include <exception>
#include <new>

namespace reprise::server::batching {

absl::Status RunGuarded(BatchRunner& runner, const engine::RaggedBatch& batch,
                        const engine::OutputSet& wanted, engine::Outputs* outputs) noexcept {
  try {
    return runner.Run(batch, wanted, outputs);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the batch");
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  } catch (...) {
    return absl::InternalError("an unknown exception");
  }
}

}  // namespace reprise::server::batching
