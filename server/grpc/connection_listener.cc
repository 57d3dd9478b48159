#include "server/grpc/connection_listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "grpc/support/log.h"
#include "server/request/host_and_port.h"

namespace reprise::server::grpc {
namespace {

// Without descriptors or memory an accept fails at once and would fail at once again.
constexpr int kRetryMilliseconds = 100;

constexpr int kMostAtOnce = 64;  // connections accepted before looking whether to close

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<Addresses> LookUp(const std::string& host, int port) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string name = bracketed ? host.substr(1, host.size() - 2) : host;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(name.c_str(), absl::StrCat(port).c_str(), &hints, &found);
  if (failure == 0) return Addresses(found, freeaddrinfo);
  return absl::FailedPreconditionError(
      absl::StrCat("'", host, "' is not an address: ", gai_strerror(failure)));
}

absl::Status SystemError() {
  return errno == EADDRINUSE ? absl::AlreadyExistsError("another process has the port")
                             : absl::FailedPreconditionError(std::strerror(errno));
}

void SetPort(sockaddr* address, int port) {
  const in_port_t number = htons(static_cast<std::uint16_t>(port));
  if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = number;
  if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = number;
}

int PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET
                   ? reinterpret_cast<const sockaddr_in&>(address).sin_port
                   : reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
}

}  // namespace

ConnectionListener::Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}
ConnectionListener::Descriptor::Descriptor(Descriptor&& other) noexcept
    : number_(std::exchange(other.number_, -1)) {}

ConnectionListener::ConnectionListener(int max_descriptors)
    : max_descriptors_(max_descriptors), closing_(eventfd(0, EFD_CLOEXEC)) {}

absl::StatusOr<std::unique_ptr<ConnectionListener>> ConnectionListener::Open(
    const std::string& host, int port, int max_descriptors) {
  std::unique_ptr<ConnectionListener> listener(new ConnectionListener(max_descriptors));
  if (listener->closing_.number() < 0) return SystemError();
  // All IPv4 addresses means all addresses: one socket takes both kinds where there is IPv6.
  const bool everywhere = host == "0.0.0.0";
  absl::Status listening = listener->Listen(everywhere ? "::" : host, port);
  if (!listening.ok() && everywhere) listening = listener->Listen(host, port);
  if (listening.ok()) return listener;
  return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", HostAndPort(host, port),
                                                    " for gRPC: ", listening.message()));
}

ConnectionListener::~ConnectionListener() { Close(); }

absl::Status ConnectionListener::Listen(const std::string& host, int port) {
  REPRISE_ASSIGN_OR_RETURN(const Addresses addresses, LookUp(host, port));
  absl::Status failure;
  for (addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    if (port_ != 0) SetPort(one->ai_addr, port_);  // the one that was free for the first address
    const absl::Status listening = ListenOn(*one);
    if (absl::IsAlreadyExists(listening)) return listening;
    if (!listening.ok()) failure = listening;
  }
  // A name such as localhost may stand for a kind of address that this machine does not have.
  return sockets_.empty() ? failure : absl::OkStatus();
}

absl::Status ConnectionListener::ListenOn(const addrinfo& address) {
  Descriptor made(
      socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (made.number() < 0) return SystemError();
  const auto set = [&made](int level, int name, int value) {
    return setsockopt(made.number(), level, name, &value, sizeof(value)) == 0;
  };
  // Connections take over TCP_NODELAY: replies must not wait for acknowledgements.
  if (!set(SOL_SOCKET, SO_REUSEADDR, 1) || !set(IPPROTO_TCP, TCP_NODELAY, 1) ||
      (address.ai_family == AF_INET6 && !set(IPPROTO_IPV6, IPV6_V6ONLY, 0)) ||
      bind(made.number(), address.ai_addr, address.ai_addrlen) != 0 ||
      listen(made.number(), SOMAXCONN) != 0) {
    return SystemError();
  }
  port_ = PortOf(made.number());
  sockets_.push_back(std::move(made));
  return absl::OkStatus();
}

void ConnectionListener::Start(
    std::unique_ptr<::grpc::experimental::ExternalConnectionAcceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  thread_ = std::thread([this] { AcceptUntilClosed(); });
}

void ConnectionListener::Close() {
  const std::uint64_t one = 1;
  REPRISE_CHECK(write(closing_.number(), &one, sizeof(one)) == sizeof(one));
  if (thread_.joinable()) thread_.join();
  sockets_.clear();
}

void ConnectionListener::AcceptUntilClosed() {
  std::vector<pollfd> watched = {{closing_.number(), POLLIN, 0}};
  for (const Descriptor& socket : sockets_) watched.push_back({socket.number(), POLLIN, 0});
  while (true) {
    if (poll(watched.data(), watched.size(), -1) < 0) {
      if (WaitForClose(kRetryMilliseconds)) return;
      continue;
    }
    if (watched[0].revents != 0) return;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      if (watched[i + 1].revents != 0) AcceptAll(sockets_[i]);
    }
  }
}

void ConnectionListener::AcceptAll(const Descriptor& socket) {
  for (int round = 0; round < kMostAtOnce; ++round) {
    const int connection = accept4(socket.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        gpr_log(GPR_ERROR, "cannot accept connections for now: %s", std::strerror(errno));
        WaitForClose(kRetryMilliseconds);
      }
      return;
    }
    // A new descriptor is the lowest that is free, so all below this number are in use.
    if (connection >= max_descriptors_) {
      gpr_log(GPR_ERROR, "closed a new connection: %d connections and files are open",
              max_descriptors_);
      close(connection);
      continue;
    }
    ::grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters made;
    made.listener_fd = socket.number();
    made.fd = connection;
    acceptor_->HandleNewConnection(&made);
  }
}

bool ConnectionListener::WaitForClose(int milliseconds) const {
  pollfd closed{closing_.number(), POLLIN, 0};
  return poll(&closed, 1, milliseconds) > 0;
}

int DescriptorLimit(int max_connections, int spare) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t all = std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max());
  const int most = std::max(1, static_cast<int>(all) - spare);
  if (max_connections == 0) return most;
  const int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);  // the lowest that is free
  if (next < 0) return most;
  close(next);
  return std::min(most, next + max_connections);
}

}  // namespace reprise::server::grpc
