#include "server/http/tls_contexts.h"

#include <openssl/ssl.h>

#include <utility>

#include "boost/asio/buffer.hpp"

namespace reprise::server::http {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

// Takes HTTP/1.1 from what the client offers, and goes on without a choice where it is not there.
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                   const unsigned char* offered, unsigned int offered_bytes, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, chosen_bytes, kOurs, sizeof(kOurs) - 1, offered,
                            offered_bytes) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

// Null when OpenSSL does not take the certificates.
std::unique_ptr<ssl::context> MakeContext(const security::Certificates& certificates) {
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX* const raw = context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  // Without sessions to take up again, each connection is checked by the rules of its own time.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_alpn_select_cb(raw, ChooseProtocol, nullptr);
  error_code error;
  context->use_certificate_chain(boost::asio::buffer(certificates.chain), error);
  if (error) return nullptr;
  context->use_private_key(boost::asio::buffer(certificates.private_key), ssl::context::pem, error);
  if (error) return nullptr;
  if (certificates.client_ca.empty()) return context;
  context->add_certificate_authority(boost::asio::buffer(certificates.client_ca), error);
  if (error) return nullptr;
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  return error ? nullptr : std::move(context);
}

}  // namespace

ssl::context* TlsContexts::Current() {
  std::shared_ptr<const security::Certificates> now = store_.current();
  if (now != seen_) {
    if (auto made = MakeContext(*now)) context_ = std::move(made);
    seen_ = std::move(now);
  }
  return context_.get();
}

}  // namespace reprise::server::http
