#include "server/grpc/inference_stream.h"

#include <utility>

#include "server/grpc/status.h"
#include "server/wire/retry_hint.h"

namespace reprise::server::grpc {

class InferenceStream::Item final : public InferenceRun {
 public:
  Item(std::shared_ptr<InferenceStream> stream, Caller caller)
      : InferenceRun(stream->service_, stream->method_.item.name, std::move(caller)),
        stream_(std::move(stream)) {}

  void Start(const ::grpc::ByteBuffer& bytes) { Run(stream_->method_.item.decode, bytes); }
  using InferenceRun::names;

  // The stream's, under its lock.
  bool finished = false;
  absl::Status status;
  RefusalReason refusal = RefusalReason::kNone;
  ::grpc::ByteBuffer reply;

 private:
  absl::Status Begin() override {
    return stream_->Begin(std::static_pointer_cast<Item>(shared_from_this()));
  }
  void OnFinished(const absl::Status& status, RefusalReason refusal,
                  ::grpc::ByteBuffer response) override {
    stream_->OnItemFinished(this, status, refusal, std::move(response));
  }

  const std::shared_ptr<InferenceStream> stream_;
};

::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>* InferenceStream::Open(
    ServiceContext& service, StreamMethod method, ::grpc::CallbackServerContext* context) {
  const std::shared_ptr<InferenceStream> stream(
      new InferenceStream(service, std::move(method), context));
  stream->self_ = stream;
  {
    MutexLock lock(stream->mutex_);
    if (!stream->caller_.admitted.ok()) {
      stream->EndLocked({stream->caller_.admitted});
    } else if (!service.inferences.Add(stream)) {
      stream->EndLocked({wire::Draining(), RefusalReason::kDraining});
    }
  }
  stream->Advance();
  // Alive still: gRPC's share is dropped in OnDone, which follows this return.
  return stream.get();
}

InferenceStream::InferenceStream(ServiceContext& service, StreamMethod method,
                                 ::grpc::CallbackServerContext* context)
    : service_(service),
      method_(std::move(method)),
      context_(context),
      caller_(CallerOf(service, method_.name, *context)) {}

void InferenceStream::End(const absl::Status& status) {
  {
    MutexLock lock(mutex_);
    EndLocked({status});
  }
  Advance();
}

void InferenceStream::Drain() {
  {
    MutexLock lock(mutex_);
    draining_ = true;
  }
  Advance();
}

absl::Status InferenceStream::Begin(std::shared_ptr<Item> item) {
  MutexLock lock(mutex_);
  ++running_;
  if (ending_) return ending_->items;
  items_.push_back(std::move(item));
  return draining_ ? wire::Draining() : absl::OkStatus();
}

void InferenceStream::OnItemFinished(Item* item, const absl::Status& status, RefusalReason refusal,
                                     ::grpc::ByteBuffer response) {
  absl::Status written;
  if (!status.ok() && !method_.first_error_ends) {
    written = method_.encode_error(status, refusal, item->names(), &response);
  }
  {
    MutexLock lock(mutex_);
    --running_;
    item->finished = true;
    item->status = status;
    item->refusal = refusal;
    item->reply.Swap(&response);
    if (!ending_) reply_bytes_ += static_cast<std::int64_t>(item->reply.Length());
    if (!written.ok()) EndLocked({written});
  }
  Advance();
}

void InferenceStream::OnReadDone(bool ok) {
  if (ok) {
    Caller caller = caller_;
    caller.start = StartOf(*context_);  // each request is a span of its own
    // The next read waits for this request's admission, so that they are admitted in order.
    std::make_shared<Item>(shared_from_this(), std::move(caller))->Start(incoming_);
    incoming_.Clear();
  }
  // A caller that has gone looks like one without more requests.
  const bool gone = !ok && context_->IsCancelled();
  {
    MutexLock lock(mutex_);
    reading_ = false;
    if (gone) {
      EndLocked({CancellationOf(caller_, SteadyClock::now())});
    } else if (!ok) {
      no_more_requests_ = true;
    }
  }
  Advance();
}

void InferenceStream::OnWriteDone(bool ok) {
  {
    MutexLock lock(mutex_);
    writing_ = false;
    if (!ok) EndLocked({CancellationOf(caller_, SteadyClock::now())});
  }
  Advance();
}

void InferenceStream::OnCancel() { End(CancellationOf(caller_, SteadyClock::now())); }

void InferenceStream::OnDone() {
  service_.inferences.Remove(this);
  // The last line: this may be the last share of the object.
  const std::shared_ptr<InferenceStream> self = std::move(self_);
}

void InferenceStream::Advance() {
  Items abandoned;
  absl::Status status;
  {
    MutexLock lock(mutex_);
    WriteLocked();
    ReadLocked();
    if (items_.empty() && !writing_) {
      if (no_more_requests_) {
        EndLocked({absl::OkStatus()});
      } else if (draining_) {
        EndLocked({wire::Draining(), RefusalReason::kDraining});
      }
    }
    FinishLocked();
    abandoned.swap(abandoned_);
    if (!abandoned.empty()) status = ending_->items;
  }
  // Without the lock: each of them comes back through OnItemFinished.
  for (const auto& item : abandoned) item->Abandon(status);
}

void InferenceStream::WriteLocked() {
  if (ending_ || writing_ || items_.empty() || !items_.front()->finished) return;
  const std::shared_ptr<Item> item = std::move(items_.front());
  items_.pop_front();
  if (!item->status.ok() && method_.first_error_ends) {
    return EndLocked({item->status, item->refusal,
                      absl::CancelledError("an earlier request of the stream failed")});
  }
  outgoing_.Swap(&item->reply);
  reply_bytes_ -= static_cast<std::int64_t>(outgoing_.Length());
  writing_ = true;
  StartWrite(&outgoing_);
}

void InferenceStream::ReadLocked() {
  if (ending_ || reading_ || no_more_requests_ || draining_) return;
  const bool room = items_.size() < static_cast<std::size_t>(service_.max_stream_items) &&
                    reply_bytes_ < service_.max_send_bytes;
  if (!room) return;
  reading_ = true;
  StartRead(&incoming_);
}

void InferenceStream::EndLocked(Ending ending) {
  if (ending_) return;
  ending_ = std::move(ending);
  abandoned_.swap(items_);
}

void InferenceStream::FinishLocked() {
  if (!ending_ || running_ > 0 || std::exchange(finished_, true)) return;
  // Before Finish: whoever has the status can rely on its being counted.
  service_.CountRpc(method_.name, ending_->status.code(), caller_.start);
  Finish(ToGrpcStatus(ending_->status, ending_->refusal, *context_));
}

}  // namespace reprise::server::grpc
