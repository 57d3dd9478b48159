#include "server/grpc/health_watch.h"

#include <utility>

#include "server/grpc/message_bytes.h"
#include "server/grpc/status.h"

namespace reprise::server::grpc {

void HealthWatch::Update(Status status) {
  MutexLock lock(mutex_);
  if (ended_) return;
  if (writing_) {
    next_ = status;
  } else if (sent_ != status) {
    Write(status);
  }
}

void HealthWatch::Write(Status status) {
  ::grpc::health::v1::HealthCheckResponse message;
  message.set_status(status);
  // Two bytes cannot exceed a limit.
  (void)SerializeMessage(message, service_.max_send_bytes, &buffer_);
  writing_ = true;
  sent_ = status;
  StartWrite(&buffer_);
}

void HealthWatch::OnWriteDone(bool ok) {
  {
    MutexLock lock(mutex_);
    writing_ = false;
    if (ended_) return;
    const std::optional<Status> next = std::exchange(next_, std::nullopt);
    if (ok) {
      if (next && next != sent_) Write(*next);
      return;
    }
  }
  End(absl::CancelledError("the caller stopped watching"));
}

void HealthWatch::End(const absl::Status& status) {
  MutexLock lock(mutex_);
  if (std::exchange(ended_, true)) return;
  service_.CountRpc("Health/Watch", status.code(), start_);
  Finish(ToGrpcStatus(status, RefusalReason::kNone, *context_));
}

void HealthWatch::OnCancel() { End(absl::CancelledError("the caller stopped watching")); }

void HealthWatch::OnDone() {
  // on_done_ lives in this object, so it must not be the one to destroy it.
  const std::shared_ptr<HealthWatch> self = shared_from_this();
  on_done_(this);
}

}  // namespace reprise::server::grpc
