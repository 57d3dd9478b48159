#include "server/http/connection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/error.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/http/error.hpp"
#include "engine/check.h"
#include "server/http/service.h"
#include "server/http/tls_contexts.h"
#include "server/request/guarded.h"

namespace reprise::server::http {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

// A client that is slower than this is taken for one that wants to hold a connection, not to send.
constexpr std::int64_t kMinBytesPerSecond = 16384;
// Bytes of further requests that are read while one is at work.
constexpr std::size_t kMaxReadAhead = std::size_t{64} << 10;
// How long a client may take to read the last answer; closing at once, with bytes of it unread,
// would make the answer vanish on its side.
constexpr std::chrono::seconds kLinger{2};
// Compressing less than this costs more than it saves.
constexpr std::size_t kMinCompressedBytes = 1024;
constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What differs from stream to stream.
tcp::socket& Socket(tcp::socket& stream) { return stream; }
tcp::socket& Socket(TlsStream& stream) { return stream.next_layer(); }

template <typename Done>
void Open(tcp::socket&, Done done) {
  done(error_code());
}
template <typename Done>
void Open(TlsStream& stream, Done done) {
  stream.async_handshake(asio::ssl::stream_base::server, std::move(done));
}

// `owner` keeps the stream alive while its end is being told.
template <typename Owner>
void EndSending(tcp::socket& stream, const Owner&) {
  error_code ignored;
  stream.shutdown(tcp::socket::shutdown_send, ignored);
}
template <typename Owner>
void EndSending(TlsStream& stream, Owner owner) {
  stream.async_shutdown([owner = std::move(owner)](error_code) {});
}

void Compress(const RequestHead& request, Response* response) {
  const ContentCoding coding = ChooseCoding(request.accept_encoding);
  if (coding == ContentCoding::kIdentity || response->body_bytes() < kMinCompressedBytes) return;
  response->body = {Deflate(response->body, coding)};
  response->headers.emplace_back("Content-Encoding", std::string(Name(coding)));
  response->headers.emplace_back("Vary", "Accept-Encoding");
}

}  // namespace

template <typename Stream>
Connection<Stream>::Connection(ServiceContext& service, Stream stream, std::string peer)
    : service_(service),
      stream_(std::move(stream)),
      peer_(std::move(peer)),
      timer_(stream_.get_executor()),
      share_(service.bodies) {
  service_.open_connections.fetch_add(1);
}

template <typename Stream>
Connection<Stream>::~Connection() {
  if (inference_ != nullptr) inference_->Detach();
  if (control_ != nullptr) control_->Detach();
  service_.open_connections.fetch_sub(1);
}

template <typename Stream>
void Connection<Stream>::Start() {
  if (!service_.connections.Add(this->shared_from_this())) return;
  asio::post(stream_.get_executor(), [self = this->shared_from_this()] {
    self->Await(std::chrono::steady_clock::now() + self->service_.io_timeout);
    Open(self->stream_, [self](error_code error) {
      if (error) return self->Close();
      self->BeginRequest();
    });
  });
}

template <typename Stream>
void Connection<Stream>::End(const absl::Status& status) {
  asio::post(stream_.get_executor(),
             [self = this->shared_from_this(), at_once = absl::IsAborted(status)] {
               self->ending_ = true;
               const bool done = self->phase_ == Phase::kIdle || self->phase_ == Phase::kLingering;
               if (at_once || done) self->Close();
             });
}

template <typename Stream>
void Connection<Stream>::BeginRequest() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kIdle;
  parser_.reset();
  head_ = {};
  route_ = {};
  route_.name = "_unknown";  // until its path is read
  response_ = {};
  body_bytes_ = 0;
  if (ending_) return Close();
  Await(std::chrono::steady_clock::now() + service_.idle_timeout);
  Advance();
}

template <typename Stream>
void Connection<Stream>::Read() {
  if (reading_) return;
  reading_ = true;
  stream_.async_read_some(asio::buffer(incoming_),
                          [self = this->shared_from_this()](error_code error, std::size_t bytes) {
                            self->OnRead(error, bytes);
                          });
}

template <typename Stream>
void Connection<Stream>::OnRead(error_code error, std::size_t bytes) {
  reading_ = false;
  if (phase_ == Phase::kClosed) return;
  // A read that was broken off because of the time says nothing about the client.
  if (error && error != asio::error::operation_aborted) gone_ = true;
  if (phase_ != Phase::kLingering) pending_.append(incoming_.data(), bytes);
  if (phase_ == Phase::kBody) body_bytes_ += static_cast<std::int64_t>(bytes);
  Advance();
}

template <typename Stream>
void Connection<Stream>::Advance() {
  switch (phase_) {
    case Phase::kIdle:
      if (timed_out_) return Close();
      if (pending_.empty()) return gone_ ? Close() : Read();
      phase_ = Phase::kHead;
      arrival_ = std::chrono::steady_clock::now();
      parser_.emplace();
      parser_->header_limit(static_cast<std::uint32_t>(service_.max_header_bytes));
      parser_->body_limit(boost::none);  // ours counts, with its own message
      Await(arrival_ + service_.io_timeout);
      return ParseHead();
    case Phase::kHead:
      if (timed_out_) return Fail(TooSlow());
      return ParseHead();
    case Phase::kBody:
      if (timed_out_) return Fail(TooSlow());
      return ParseBody();
    case Phase::kWorking:
      if (gone_) return Close();
      if (pending_.size() < kMaxReadAhead) Read();
      return;
    case Phase::kLingering:
      return gone_ || timed_out_ ? Close() : Read();
    case Phase::kWriting:
    case Phase::kClosed:
      return;
  }
}

template <typename Stream>
error_code Connection<Stream>::Parse() {
  error_code error;
  std::size_t used = 0;
  while (used < pending_.size() && !parser_->is_done()) {
    const bool in_head = !parser_->is_header_done();
    const std::size_t taken =
        parser_->put(asio::const_buffer(pending_.data() + used, pending_.size() - used), error);
    used += taken;
    if (error || taken == 0 || (in_head && parser_->is_header_done())) break;
  }
  pending_.erase(0, used);
  return error == http::error::need_more ? error_code() : error;
}

template <typename Stream>
void Connection<Stream>::ParseHead() {
  if (const error_code error = Parse(); error) return FailToParse(error);
  if (parser_->is_header_done()) return OnHead();
  if (gone_) return Close();
  Read();
}

template <typename Stream>
void Connection<Stream>::OnHead() {
  phase_ = Phase::kBody;
  head_ = HeadOf(*parser_, service_.client_key_header);
  std::optional<Route> route = FindRoute(head_.target);
  const bool known = route.has_value();
  if (known) route_ = *std::move(route);
  const bool allowed = known && Allows(route_.allow, head_.verb);
  const absl::StatusOr<std::string> caller = Authorize();
  if (allowed && route_.method == Method::kModelInfer) {
    const auto executor = stream_.get_executor();
    inference_ = std::make_shared<Inference>(
        service_,
        InferCall{.route = route_,
                  .json_length = head_.json_length,
                  .client_key = ClientKey(caller),
                  .trace = head_.trace},
        [executor](StrandPost::Task task) { asio::post(executor, std::move(task)); },
        // This object owns the inference, and lets go of it before it dies.
        [this](Response response) { Respond(std::move(response)); });
  }
  if (!caller.ok()) return Fail({.status = caller.status()});
  if (!known) return Fail(UnknownPath(head_.target));
  if (!allowed) return Fail(WrongVerb(head_.verb, head_.target, route_.allow));
  if (inference_ != nullptr && service_.inferences.closed()) return inference_->Refuse();
  if (const std::optional<Failure> failure = ExamineHead(head_, service_.max_receive_bytes)) {
    return Fail(*failure);
  }
  ReadBody();
}

template <typename Stream>
absl::StatusOr<std::string> Connection<Stream>::Authorize() const {
  if (service_.access == nullptr) return std::string();
  const std::vector<std::string_view> values(head_.authorization.begin(),
                                             head_.authorization.end());
  return service_.access->Authorize(security::GroupOf(route_.name), values);
}

template <typename Stream>
std::string Connection<Stream>::ClientKey(const absl::StatusOr<std::string>& token_owner) const {
  if (!head_.client_key.empty()) return head_.client_key;
  return token_owner.ok() && !token_owner->empty() ? *token_owner : peer_;
}

template <typename Stream>
void Connection<Stream>::ReadBody() {
  body_start_ = std::chrono::steady_clock::now();
  if (head_.expect.empty() || parser_->is_done() || !pending_.empty()) return ParseBody();
  Await(body_start_ + service_.io_timeout);
  asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                    [self = this->shared_from_this()](error_code error, std::size_t) {
                      if (error) return self->Close();
                      if (self->phase_ == Phase::kBody) self->ParseBody();
                    });
}

template <typename Stream>
void Connection<Stream>::ParseBody() {
  const std::size_t before = parser_->get().body().size();
  error_code error;
  const absl::Status held = Guarded("the body", [&] {
    error = Parse();
    return absl::OkStatus();
  });
  if (!held.ok()) return Fail({.status = held});
  if (error) return FailToParse(error);
  const std::size_t size = parser_->get().body().size();
  if (static_cast<std::int64_t>(size) > service_.max_receive_bytes) {
    return Fail(BodyTooLarge(service_.max_receive_bytes));
  }
  if (absl::Status grown = share_.Grow(static_cast<std::int64_t>(size - before)); !grown.ok()) {
    return Fail({.status = std::move(grown), .refusal = RefusalReason::kQueueBytes});
  }
  if (parser_->is_done()) return OnBody();
  if (gone_) return Close();
  // The time allowed grows with what has come: large bodies may be slow, but not as slow as a
  // client that sends a byte now and then to keep the connection.
  Await(body_start_ + service_.io_timeout + std::chrono::seconds(body_bytes_ / kMinBytesPerSecond));
  Read();
}

template <typename Stream>
void Connection<Stream>::OnBody() {
  AwaitForever();
  std::string body = std::move(parser_->get().body());
  const std::optional<ContentCoding> coding = ParseContentEncoding(head_.content_encoding);
  REPRISE_CHECK(coding.has_value());  // ExamineHead has seen it
  if (absl::Status unpacked = Unpack(*coding, &body); !unpacked.ok()) {
    if (absl::IsOutOfRange(unpacked)) return Fail(BodyTooLarge(service_.max_receive_bytes));
    const bool invalid = absl::IsInvalidArgument(unpacked);
    return Fail({.status = std::move(unpacked),
                 .refusal = invalid ? RefusalReason::kInvalid : RefusalReason::kQueueBytes});
  }
  phase_ = Phase::kWorking;
  if (inference_ != nullptr) {
    inference_->Run(std::move(body));
    share_.Reset();
    return Advance();
  }
  if (route_.method == Method::kRepositoryModelLoad ||
      route_.method == Method::kRepositoryModelUnload) {
    return Control(body);
  }
  Answered answered = AnswerAtOnce(service_, route_, body);
  Count(answered.code);
  Respond(std::move(answered.response));
}

template <typename Stream>
void Connection<Stream>::Control(const std::string& body) {
  control_ = std::make_shared<ControlTask>(
      service_,
      [executor = stream_.get_executor()](StrandPost::Task task) {
        asio::post(executor, std::move(task));
      },
      // This object owns the task, and lets go of it before it dies.
      [this](const absl::Status& status) {
        Count(status.code());
        Respond(status.ok() ? Response{} : ErrorResponse({.status = status}));
      });
  control_->Run(route_, body);
  Advance();
}

template <typename Stream>
absl::Status Connection<Stream>::Unpack(ContentCoding coding, std::string* body) {
  if (coding == ContentCoding::kIdentity || body->empty()) return absl::OkStatus();
  std::int64_t bytes = 0;
  const auto grow = [this, &bytes](std::int64_t more) -> absl::Status {
    bytes += more;
    if (bytes > service_.max_receive_bytes) return absl::OutOfRangeError("too large");
    return share_.Grow(more);
  };
  REPRISE_ASSIGN_OR_RETURN(
      *body, Guarded("the inflated body", [&] { return Inflate(*body, coding, grow); }));
  return absl::OkStatus();
}

template <typename Stream>
void Connection<Stream>::FailToParse(error_code error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Fail(HeadersTooLarge(service_.max_header_bytes));
  }
  if (error == http::error::bad_version) return Fail(UnknownVersion());
  Fail(BadRequest(absl::StrCat("the request is not valid HTTP: ", error.message())));
}

template <typename Stream>
void Connection<Stream>::Fail(const Failure& failure) {
  if (inference_ != nullptr) return inference_->Fail(failure);
  Count(failure.status.code());
  Respond(ErrorResponse(failure));
}

template <typename Stream>
void Connection<Stream>::Count(absl::StatusCode code) {
  // A request whose head could not be read belongs to no trace.
  const bool traced = !head_.trace.trace_id.empty();
  service_.CountRpc(route_.name, code, arrival_, traced ? &head_.trace : nullptr);
}

template <typename Stream>
void Connection<Stream>::Respond(Response response) {
  if (phase_ == Phase::kClosed) return;
  const bool whole = parser_.has_value() && parser_->is_done();
  last_response_ = !whole || !head_.keep_alive || ending_ || service_.draining.load();
  phase_ = Phase::kWriting;
  // The body is done with, whether it was read to its end or not.
  if (parser_.has_value()) parser_->get().body() = {};
  share_.Reset();
  response_ = std::move(response);
  Compress(head_, &response_);
  response_head_ = HeadText(response_, !last_response_, head_.is_http_1_0);
  std::vector<asio::const_buffer> buffers = {asio::buffer(response_head_)};
  if (head_.verb != "HEAD") {
    for (const std::string& piece : response_.body) buffers.push_back(asio::buffer(piece));
  }
  const auto bytes = static_cast<std::int64_t>(asio::buffer_size(buffers));
  Await(std::chrono::steady_clock::now() + service_.io_timeout +
        std::chrono::seconds(bytes / kMinBytesPerSecond));
  asio::async_write(
      stream_, buffers,
      [self = this->shared_from_this()](error_code error, std::size_t) { self->OnWritten(error); });
}

template <typename Stream>
void Connection<Stream>::OnWritten(error_code error) {
  if (phase_ == Phase::kClosed) return;
  ReleaseWork();
  if (error) return Close();
  if (last_response_) return Linger();
  BeginRequest();
}

template <typename Stream>
void Connection<Stream>::Linger() {
  if (gone_ || ending_) return Close();
  phase_ = Phase::kLingering;
  pending_.clear();
  EndSending(stream_, this->shared_from_this());
  Await(std::chrono::steady_clock::now() + kLinger);
  Advance();
}

template <typename Stream>
void Connection<Stream>::Close() {
  if (phase_ == Phase::kClosed) return;
  const bool unanswered = phase_ == Phase::kBody || phase_ == Phase::kWorking;
  phase_ = Phase::kClosed;
  AwaitForever();
  error_code ignored;
  Socket(stream_).close(ignored);
  if (inference_ != nullptr) {
    inference_->Abandon();
  } else if (unanswered) {
    Count(absl::StatusCode::kCancelled);
  }
  ReleaseWork();
  share_.Reset();
  service_.connections.Remove(this);
}

template <typename Stream>
void Connection<Stream>::ReleaseWork() {
  if (inference_ != nullptr) {
    inference_->Detach();
    service_.inferences.Remove(inference_.get());
    inference_.reset();
  }
  if (control_ != nullptr) {
    control_->Detach();
    service_.inferences.Remove(control_.get());
    control_.reset();
  }
}

template <typename Stream>
void Connection<Stream>::Await(TimePoint time) {
  AwaitForever();
  timer_.expires_at(time);
  timer_.async_wait([weak = this->weak_from_this(), set = awaits_](error_code error) {
    const auto self = weak.lock();
    // A wait that was stopped at the very end is over without an error.
    if (error || self == nullptr || self->awaits_ != set) return;
    self->timed_out_ = true;
    error_code ignored;
    Socket(self->stream_).cancel(ignored);
  });
}

template <typename Stream>
void Connection<Stream>::AwaitForever() {
  ++awaits_;
  timed_out_ = false;
  timer_.cancel();
}

template class Connection<tcp::socket>;
template class Connection<TlsStream>;

}  // namespace reprise::server::http
