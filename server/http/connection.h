// One connection of a client: its requests, one after another, until either side ends it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/steady_timer.hpp"
#include "server/http/content_coding.h"
#include "server/http/control_task.h"
#include "server/http/head_codec.h"
#include "server/http/inference.h"
#include "server/http/request_head.h"
#include "server/http/response.h"
#include "server/http/router.h"
#include "server/http/service_context.h"
#include "server/http/status.h"
#include "server/request/open_calls.h"

namespace reprise::server::http {

// `Stream` reads and writes bytes as Asio's sockets do. What is not the same for every stream is in
// the functions at the top of connection.cc: a stream with encryption has its own of them there,
// and a line at the end of that file.
//
// Requests that a client sends without waiting are answered in their order. There is one read at a
// time, and it goes on while a request is at work: that is how a client that has gone is noticed.
//
// Everything happens in the strand that is the stream's executor, except construction, Start and
// End, which may be called from any thread.
template <typename Stream>
class Connection final : public OpenCall, public std::enable_shared_from_this<Connection<Stream>> {
 public:
  // `peer` names the client for fair sharing. `service` outlives this.
  Connection(ServiceContext& service, Stream stream, std::string peer);
  ~Connection() override;

  // Requires: owned by a shared_ptr, which the connection then shares until it is closed.
  void Start();
  // Aborted closes the connection at once, any other status after the request under way.
  void End(const absl::Status& status) override;

 private:
  enum class Phase : std::uint8_t {
    kIdle,     // between requests
    kHead,     // some of a request's head has come
    kBody,     // its head is done
    kWorking,  // the answer is awaited
    kWriting,
    kLingering,  // all is said; what the client still sends is thrown away
    kClosed
  };
  using TimePoint = std::chrono::steady_clock::time_point;

  void BeginRequest();
  void Read();
  void OnRead(boost::system::error_code error, std::size_t bytes);
  void Advance();
  // Hands what has come to the parser, no further than the end of the head or of the body.
  boost::system::error_code Parse();
  void ParseHead();
  void OnHead();
  // The name of the caller's token, empty where none is needed. Unauthenticated or PermissionDenied
  // when the caller may not do what it asks for.
  absl::StatusOr<std::string> Authorize() const;
  // Who the caller is, for fair sharing: what its header says, else whose token it showed, else its
  // address.
  std::string ClientKey(const absl::StatusOr<std::string>& token_owner) const;
  void ReadBody();
  void ParseBody();
  void OnBody();
  // Inflates the body; OutOfRange when that makes it too large.
  absl::Status Unpack(ContentCoding coding, std::string* body);
  void FailToParse(boost::system::error_code error);
  // Answers, counting the request; the connection ends if some of the request is still to come.
  void Fail(const Failure& failure);
  // Reports the request, which is not an inference.
  void Count(absl::StatusCode code);
  void Respond(Response response);
  void OnWritten(boost::system::error_code error);
  void Linger();
  void Close();
  void Control(const std::string& body);
  void ReleaseWork();
  // The phase may last until then, or for as long as it takes.
  void Await(TimePoint time);
  void AwaitForever();

  ServiceContext& service_;
  Stream stream_;
  const std::string peer_;
  boost::asio::steady_timer timer_;
  std::uint64_t awaits_ = 0;  // how often the timer was set or stopped

  Phase phase_ = Phase::kIdle;
  std::array<char, 16384> incoming_;  // where the one read goes
  bool reading_ = false;
  std::string pending_;     // bytes that have come and are not parsed
  bool gone_ = false;       // the client sends nothing more
  bool timed_out_ = false;  // the phase has lasted too long
  bool ending_ = false;     // the server wants no further request

  // Of the request under way.
  TimePoint arrival_;  // of its first byte
  std::optional<RequestParser> parser_;
  RequestHead head_;
  Route route_;
  TimePoint body_start_;
  std::int64_t body_bytes_ = 0;  // as received
  BodyShare share_;
  std::shared_ptr<Inference> inference_;  // null unless it is one
  std::shared_ptr<ControlTask> control_;  // null unless it loads or unloads a model
  Response response_;
  std::string response_head_;
  bool last_response_ = false;
};

}  // namespace reprise::server::http
