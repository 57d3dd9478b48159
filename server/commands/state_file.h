// Keeps a long measurement of similarity in a file, so that it can be stopped and gone on with.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/analysis/similarity_state.h"
#include "server/commands/stop_signals.h"
#include "server/request/inference_request.h"

namespace reprise::server::commands {

// Create it before any other thread: SIGTERM and SIGINT no longer end the process, but the
// measurement, at its next Keep. Not thread-safe.
class StateFile {
 public:
  // `path` need not be there yet. `save_every_secs`: not every Keep writes.
  StateFile(std::string path, double save_every_secs);

  // Reads the file if it is there. The errors of ParseSimilarityState and CheckBelongsTo.
  absl::Status Open(engine::analysis::SimilarityState wanted);

  // What is there of the measurement with those weights; an empty table if nothing.
  engine::analysis::SimilarityTable Begun(const std::string& weights) const;

  // Writes the table when it is time to. Cancelled when a signal has come, after writing: see
  // signal().
  absl::Status Keep(const std::string& weights, const engine::analysis::SimilarityTable& table);
  // Writes whatever has not been written. WriteWholeFile's errors.
  absl::Status Save();

  int signal() const { return signal_; }  // that ended the measurement; 0: none

 private:
  StopSignals stop_;
  const std::string path_;
  const SteadyClock::duration save_every_;
  SteadyClock::time_point saved_;
  engine::analysis::SimilarityState state_;
  int signal_ = 0;
};

}  // namespace reprise::server::commands
