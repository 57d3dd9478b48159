// Writes traced calls to a file, one line each.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"
#include "server/trace/traced_call.h"

namespace reprise::server::trace {

struct TraceFileOptions {
  std::string path{};                   // is made if it is not there; lines go to its end
  std::string server_version{};         // for the attribute service.version
  std::size_t max_queued_calls = 4096;  // beyond them calls are dropped, >= 1
};

// Owns the file and the thread that writes it. Thread-safe.
class TraceFile {
 public:
  // InvalidArgument when the file cannot be opened for writing. `observer` hears of all spans:
  // written, dropped, lost; it must outlive this.
  static absl::StatusOr<std::unique_ptr<TraceFile>> Open(TraceFileOptions options,
                                                         Observer& observer);
  ~TraceFile();  // writes what is queued
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  // Never waits for the file: drops the call when the queue is full.
  void Write(TracedCall call);

 private:
  TraceFile(TraceFileOptions options, int descriptor, Observer& observer);
  void WriteQueued();
  struct Line {
    std::size_t end;  // in the text of its piece, end of line included
    std::int64_t spans;
  };
  struct Piece {
    std::string text;
    std::vector<Line> lines;
  };
  void WriteCalls(const std::vector<TracedCall>& calls);
  void WritePiece(const Piece& piece);
  // The bytes of `text` that were written; fewer than all for `reason`.
  std::size_t WriteText(std::string_view text, std::string* reason) const;

  const TraceFileOptions options_;
  const int descriptor_;
  Observer& observer_;
  bool line_is_broken_ = false;  // of the writing thread: the last write ended within a line

  Mutex mutex_;
  std::condition_variable queued_;
  std::vector<TracedCall> queue_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread writer_;  // last: it uses all of the above
};

}  // namespace reprise::server::trace
