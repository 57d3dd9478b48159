// TLS for HTTP connections, with certificates that may be replaced while the port is open.
#pragma once

#include <memory>

#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl/context.hpp"
#include "boost/asio/ssl/stream.hpp"
#include "server/security/certificates.h"

namespace reprise::server::http {

using TlsStream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

// TLS 1.2 or 1.3, HTTP/1.1 within it. Not thread-safe.
class TlsContexts {
 public:
  explicit TlsContexts(const security::CertificateStore& store) : store_(store) {}

  // For the next connection: with what the store holds now, or, where OpenSSL refuses that, with
  // what it took last. Null when it never took anything. Valid until the next call; a stream that
  // was made with it keeps what it needs.
  boost::asio::ssl::context* Current();

 private:
  const security::CertificateStore& store_;
  std::shared_ptr<const security::Certificates> seen_;
  std::unique_ptr<boost::asio::ssl::context> context_;
};

}  // namespace reprise::server::http
