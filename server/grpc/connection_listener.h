// The listening sockets of one gRPC port.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/server_builder.h"

struct addrinfo;

namespace reprise::server::grpc {

// Accepts connections and hands them to gRPC, as long as the process has file descriptors to spare.
//
// Not gRPC's own listener: in 1.51 it stops listening for good when there once is no descriptor
// left, which anybody can bring about by opening connections. Not thread-safe.
class ConnectionListener {
 public:
  // Listens on every address that `host` stands for, on the same port; 0 picks a free one. Of
  // connections beyond `max_descriptors` open ones and files of the whole process, new ones are
  // closed at once. FailedPrecondition when an address cannot be had.
  static absl::StatusOr<std::unique_ptr<ConnectionListener>> Open(const std::string& host, int port,
                                                                  int max_descriptors);
  ~ConnectionListener();  // Close
  ConnectionListener(const ConnectionListener&) = delete;
  ConnectionListener& operator=(const ConnectionListener&) = delete;

  int port() const { return port_; }

  // Hands connections to the server that `acceptor` belongs to, from now on. Those that were made
  // before have waited. Requires: the server has started. Once.
  void Start(std::unique_ptr<::grpc::experimental::ExternalConnectionAcceptor> acceptor);
  // No new connections; those handed over are the server's. Before the server is shut down.
  void Close();

 private:
  // Owns one file descriptor.
  class Descriptor {
   public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept;
    Descriptor& operator=(Descriptor&&) = delete;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number() const { return number_; }

   private:
    int number_;
  };

  explicit ConnectionListener(int max_descriptors);

  absl::Status Listen(const std::string& host, int port);
  absl::Status ListenOn(const ::addrinfo& address);
  void AcceptUntilClosed();
  void AcceptAll(const Descriptor& socket);
  // True when Close was called before this time had passed.
  bool WaitForClose(int milliseconds) const;

  const int max_descriptors_;
  const Descriptor closing_;  // an event that is readable once Close was called
  std::vector<Descriptor> sockets_;
  int port_ = 0;
  std::unique_ptr<::grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::thread thread_;
};

// The `max_descriptors` at which about `max_connections` more are open than are now, or, where that
// is 0 or more than the process may have, `spare` less than it may have.
int DescriptorLimit(int max_connections, int spare);

}  // namespace reprise::server::grpc
