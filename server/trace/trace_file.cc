#include "server/trace/trace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/trace/otlp_json.h"

namespace reprise::server::trace {

absl::StatusOr<std::unique_ptr<TraceFile>> TraceFile::Open(TraceFileOptions options,
                                                           Observer& observer) {
  REPRISE_CHECK(options.max_queued_calls >= 1);
  // Not blocking: a pipe that nobody reads must hold up neither start nor end of the server.
  const int descriptor =
      open(options.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
  if (descriptor < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot open the trace file '", options.path, "' for writing: ", std::strerror(errno),
        "; give --trace-file a path in a folder that exists and "
        "that this user may write to"));
  }
  return std::unique_ptr<TraceFile>(new TraceFile(std::move(options), descriptor, observer));
}

TraceFile::TraceFile(TraceFileOptions options, int descriptor, Observer& observer)
    : options_(std::move(options)),
      descriptor_(descriptor),
      observer_(observer),
      writer_([this] { WriteQueued(); }) {}

TraceFile::~TraceFile() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
    queued_.notify_one();
  }
  writer_.join();
  close(descriptor_);
}

void TraceFile::Write(TracedCall call) {
  {
    MutexLock lock(mutex_);
    if (queue_.size() < options_.max_queued_calls) {
      queue_.push_back(std::move(call));
      if (queue_.size() == 1) queued_.notify_one();
      return;
    }
  }
  observer_.OnSpans(SpanFate::kQueueFull, CountSpans(call), "");
}

void TraceFile::WriteQueued() {
  while (true) {
    std::vector<TracedCall> calls;
    bool last = false;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !closing_) queued_.wait(lock.native());
      calls = std::exchange(queue_, {});
      last = closing_;
    }
    WriteCalls(calls);
    if (last) return;
  }
}

// In pieces of some lines, each a single write where the file takes it.
void TraceFile::WriteCalls(const std::vector<TracedCall>& calls) {
  constexpr std::size_t kPieceBytes = 64 << 10;
  Piece piece;
  for (const TracedCall& call : calls) {
    piece.text += FormatTrace(call, options_.server_version);
    piece.text += '\n';
    piece.lines.push_back({piece.text.size(), CountSpans(call)});
    if (piece.text.size() >= kPieceBytes) WritePiece(std::exchange(piece, {}));
  }
  if (!piece.lines.empty()) WritePiece(piece);
}

void TraceFile::WritePiece(const Piece& piece) {
  std::string reason;
  std::size_t done = 0;
  // What an earlier error cut off stays a line of its own, which readers can skip.
  if (!line_is_broken_ || WriteText("\n", &reason) == 1) {
    line_is_broken_ = false;
    done = WriteText(piece.text, &reason);
    line_is_broken_ = done > 0 && piece.text[done - 1] != '\n';
  }
  std::int64_t written = 0;
  std::int64_t lost = 0;
  for (const Line& line : piece.lines) (line.end <= done ? written : lost) += line.spans;
  if (written > 0) observer_.OnSpans(SpanFate::kWritten, written, "");
  if (lost > 0) observer_.OnSpans(SpanFate::kWriteFailed, lost, reason);
}

std::size_t TraceFile::WriteText(std::string_view text, std::string* reason) const {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(descriptor_, text.data() + done, text.size() - done);
    if (written > 0) {
      done += static_cast<std::size_t>(written);
    } else if (written == 0 || errno != EINTR) {
      *reason = absl::StrCat("'", options_.path, "': ", std::strerror(errno));
      break;
    }
  }
  return done;
}

}  // namespace reprise::server::trace
