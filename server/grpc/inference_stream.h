// Many inferences over one stream, answered in the order in which they came.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc/inference_run.h"
#include "server/grpc/service_context.h"
#include "server/request/open_calls.h"

namespace reprise::server::grpc {

struct StreamMethod {
  // Writes the reply to a request that failed. An error of its own ends the stream.
  using EncodeError =
      std::function<absl::Status(const absl::Status& error, RefusalReason refusal,
                                 const RequestNames& names, ::grpc::ByteBuffer* response)>;

  InferenceMethod item;           // how each of its requests is read, answered and counted
  std::string_view name;          // as metrics count the stream itself; static
  EncodeError encode_error;       // unless the first error ends the stream
  bool first_error_ends = false;  // with that error as the status of the call
};

// Requests run at the same time and are admitted in order; one that is refused fails alone. At most
// max_stream_items of them, and no more finished replies than max_send_bytes, are kept between
// being read and being written: then nothing is read, and the caller's writes wait.
//
// Ends with OK after the last answer once the caller has no more requests; with Unavailable after
// those under way when the server drains; at once, its requests with it, when the caller goes or
// its deadline passes. Deleted when gRPC and every request have let go. Thread-safe.
class InferenceStream final
    : public ::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>,
      public OpenCall,
      public std::enable_shared_from_this<InferenceStream> {
 public:
  // The reactor to return to gRPC.
  static ::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>* Open(
      ServiceContext& service, StreamMethod method, ::grpc::CallbackServerContext* context);

  void End(const absl::Status& status) override;
  void Drain() override;

 private:
  class Item;
  using Items = std::deque<std::shared_ptr<Item>>;
  struct Ending {
    absl::Status status;  // of the call
    RefusalReason refusal = RefusalReason::kNone;
    absl::Status items = status;  // of the requests that it takes with it
  };

  InferenceStream(ServiceContext& service, StreamMethod method,
                  ::grpc::CallbackServerContext* context);

  // An item has been decoded, and has ended. Each Begin is followed by one OnItemFinished.
  absl::Status Begin(std::shared_ptr<Item> item);
  void OnItemFinished(Item* item, const absl::Status& status, RefusalReason refusal,
                      ::grpc::ByteBuffer response);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Starts whatever the state allows. To be called after every change of it, without the lock.
  void Advance();
  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(Ending ending) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ServiceContext& service_;
  const StreamMethod method_;
  ::grpc::CallbackServerContext* const context_;
  const Caller caller_;                    // of the stream; items have arrivals of their own
  ::grpc::ByteBuffer incoming_;            // gRPC's between StartRead and OnReadDone
  ::grpc::ByteBuffer outgoing_;            // gRPC's between StartWrite and OnWriteDone
  std::shared_ptr<InferenceStream> self_;  // gRPC's share, dropped in OnDone

  Mutex mutex_;
  Items items_ ABSL_GUARDED_BY(mutex_);  // not yet written, in the order of the requests
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t reply_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // finished, not yet written
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool no_more_requests_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  // Once set nothing is read or written; Finish follows as soon as nothing runs, because the
  // server may be gone after it.
  std::optional<Ending> ending_ ABSL_GUARDED_BY(mutex_);
  Items abandoned_ ABSL_GUARDED_BY(mutex_);  // to be told that the stream has ended
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace reprise::server::grpc
