// An open port: takes connections and starts them, no more than there may be.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/steady_timer.hpp"
#include "server/http/service_context.h"
#include "server/http/tls_contexts.h"

namespace reprise::server::http {

// Not thread-safe before Start; Close may be called from any thread.
class Listener : public std::enable_shared_from_this<Listener> {
 public:
  // Connections speak TLS with what `tls` holds; they are in the clear where it is null.
  // FailedPrecondition when the address cannot be had. `tls`, `service` and `io` outlive this.
  static absl::StatusOr<std::shared_ptr<Listener>> Open(const std::string& host, int port,
                                                        int max_connections,
                                                        const security::CertificateStore* tls,
                                                        ServiceContext& service,
                                                        boost::asio::io_context& io);

  int port() const { return port_; }
  void Start();
  void Close();

 private:
  Listener(int max_connections, const security::CertificateStore* tls, ServiceContext& service,
           boost::asio::io_context& io);

  void Accept();
  void OnAccept(boost::system::error_code error, boost::asio::ip::tcp::socket socket);
  void AcceptLater();

  const int max_connections_;
  std::optional<TlsContexts> tls_;  // nothing: in the clear
  ServiceContext& service_;
  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  int port_ = 0;
};

}  // namespace reprise::server::http
