#include "server/http/listener.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/ip/v6_only.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/strand.hpp"
#include "server/http/connection.h"
#include "server/http/status.h"
#include "server/request/host_and_port.h"

namespace reprise::server::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// The client's address as gRPC writes it, so that a caller is the same one over both protocols.
std::string PeerOf(const tcp::socket& socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return "unknown";
  const asio::ip::address address = peer.address();
  if (address.is_v4()) return absl::StrCat("ipv4:", address.to_string());
  if (address.to_v6().is_v4_mapped()) {
    const auto v4 = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return absl::StrCat("ipv4:", v4.to_string());
  }
  return absl::StrCat("ipv6:%5B", address.to_string(), "%5D");
}

// Says why and closes, without waiting for anything.
void TurnAway(tcp::socket socket) {
  constexpr char kAnswer[] =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 65\r\n"
      "Retry-After: 1\r\nConnection: close\r\n\r\n"
      "{\"error\":\"too many open connections; see --http-max-connections\"}";
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(kAnswer, sizeof(kAnswer) - 1), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

error_code OpenAcceptor(const std::string& host, int port, asio::io_context& io,
                        tcp::acceptor* acceptor) {
  error_code error;
  tcp::resolver resolver(io);
  // Without the brackets that an IPv6 address may have.
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string name = bracketed ? host.substr(1, host.size() - 2) : host;
  const auto found = resolver.resolve(name, absl::StrCat(port), tcp::resolver::passive, error);
  if (error) return error;
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor->open(endpoint.protocol(), error);
  if (error) return error;
  // Lets a restarted server have the port at once; two at a time still cannot have it.
  acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.protocol() == tcp::v6()) {
    acceptor->set_option(asio::ip::v6_only(false), error);
  }
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  return error;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Listener>> Listener::Open(const std::string& host, int port,
                                                         int max_connections,
                                                         const security::CertificateStore* tls,
                                                         ServiceContext& service,
                                                         asio::io_context& io) {
  const std::shared_ptr<Listener> listener(new Listener(max_connections, tls, service, io));
  if (const error_code error = OpenAcceptor(host, port, io, &listener->acceptor_); error) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot listen on ", HostAndPort(host, port), " for HTTP (", error.message(),
        "): another process has the port, or the address is not this machine's; choose another "
        "with --host and --http-port (0 picks a free one), or --no-http"));
  }
  error_code ignored;
  listener->port_ = listener->acceptor_.local_endpoint(ignored).port();
  return listener;
}

Listener::Listener(int max_connections, const security::CertificateStore* tls,
                   ServiceContext& service, asio::io_context& io)
    : max_connections_(max_connections),
      service_(service),
      io_(io),
      acceptor_(asio::make_strand(io)),
      pause_(acceptor_.get_executor()) {
  if (tls != nullptr) tls_.emplace(*tls);
}

void Listener::Start() {
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] { self->Accept(); });
}

void Listener::Close() {
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    error_code ignored;
    self->acceptor_.close(ignored);
    self->pause_.cancel();
  });
}

void Listener::Accept() {
  if (!acceptor_.is_open()) return;
  // Each connection has a strand: its reads, writes and timers never run at the same time.
  acceptor_.async_accept(asio::make_strand(io_),
                         [self = shared_from_this()](error_code error, tcp::socket socket) {
                           self->OnAccept(error, std::move(socket));
                         });
}

void Listener::OnAccept(error_code error, tcp::socket socket) {
  if (!acceptor_.is_open()) return;
  // Most likely the process has no file descriptor left; one will be closed.
  if (error) return AcceptLater();
  if (service_.open_connections.load() >= max_connections_) {
    // A client that waits for TLS could not read why.
    if (!tls_.has_value()) TurnAway(std::move(socket));
    return Accept();
  }
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  std::string peer = PeerOf(socket);
  if (!tls_.has_value()) {
    std::make_shared<Connection<tcp::socket>>(service_, std::move(socket), std::move(peer))
        ->Start();
  } else if (asio::ssl::context* context = tls_->Current()) {
    std::make_shared<Connection<TlsStream>>(service_, TlsStream(std::move(socket), *context),
                                            std::move(peer))
        ->Start();
  }
  Accept();
}

void Listener::AcceptLater() {
  pause_.expires_after(std::chrono::milliseconds(100));
  pause_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->Accept();
  });
}

}  // namespace reprise::server::http
