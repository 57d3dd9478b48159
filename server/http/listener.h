// An open port: takes connections and starts them, no more than there may be.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/steady_timer.hpp"
#include "server/http/service_context.h"

namespace reprise::server::http {

// Not thread-safe before Start; Close may be called from any thread.
class Listener : public std::enable_shared_from_this<Listener> {
 public:
  // FailedPrecondition when the address cannot be had. `service` and `io` outlive this.
  static absl::StatusOr<std::shared_ptr<Listener>> Open(const std::string& host, int port,
                                                        int max_connections,
                                                        ServiceContext& service,
                                                        boost::asio::io_context& io);

  int port() const { return port_; }
  void Start();
  void Close();

 private:
  Listener(int max_connections, ServiceContext& service, boost::asio::io_context& io);

  void Accept();
  void OnAccept(boost::system::error_code error, boost::asio::ip::tcp::socket socket);
  void AcceptLater();

  const int max_connections_;
  ServiceContext& service_;
  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  int port_ = 0;
};

}  // namespace reprise::server::http
