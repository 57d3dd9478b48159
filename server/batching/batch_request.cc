#include "server/batching/batch_request.h"

#include <utility>

namespace reprise::server::batching {

void Answer(std::unique_ptr<BatchRequest> request, absl::StatusOr<InferenceReply> reply,
            RefusalReason reason) {
  request->request->cancellation->StopListening();
  // A request that nobody runs any more is out of the queue before its caller hears of it.
  request->ticket.LeaveQueue();
  request->request->done(std::move(reply), reason);
}

std::int64_t ScoreBytes(const pipeline::PackedRows& rows, std::int64_t bytes_per_square) {
  std::int64_t squares = 0;
  for (std::int64_t row = 0; row < rows.rows(); ++row)
    squares += rows.row_len(row) * rows.row_len(row);
  return squares * bytes_per_square;
}

}  // namespace reprise::server::batching
