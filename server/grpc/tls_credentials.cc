#include "server/grpc/tls_credentials.h"

#include <string>

#include "engine/check.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"

namespace reprise::server::grpc {
namespace {

// Connects gRPC's core, which asks for certificates before each handshake, with the store.
class StoreCredentials final : public ::grpc::ServerCredentials {
 public:
  explicit StoreCredentials(const security::CertificateStore& store) : store_(store) {
    const bool ask_clients = !store.current()->client_ca.empty();
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            ask_clients ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                        : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
            &StoreCredentials::Fetch, this));
    REPRISE_CHECK(credentials_ != nullptr);
  }
  ~StoreCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(
      const std::shared_ptr<::grpc::AuthMetadataProcessor>& /*processor*/) override {
    REPRISE_CHECK(false);  // callers are checked by AccessControl
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // gRPC calls this under a lock of the port, so never twice at the same time.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<StoreCredentials*>(self)->FetchIfNew(config);
  }

  grpc_ssl_certificate_config_reload_status FetchIfNew(
      grpc_ssl_server_certificate_config** config) {
    std::shared_ptr<const security::Certificates> current = store_.current();
    if (current == handed_over_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair{current->private_key.c_str(), current->chain.c_str()};
    // gRPC insists on some CA; where clients are not asked for certificates it is never used.
    const std::string& ca = current->client_ca.empty() ? current->chain : current->client_ca;
    *config = grpc_ssl_server_certificate_config_create(ca.c_str(), &pair, 1);
    handed_over_ = std::move(current);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const security::CertificateStore& store_;
  std::shared_ptr<const security::Certificates> handed_over_;  // what the port works with
  grpc_server_credentials* credentials_ = nullptr;
};

}  // namespace

std::shared_ptr<::grpc::ServerCredentials> TlsCredentials(const security::CertificateStore& store) {
  return std::make_shared<StoreCredentials>(store);
}

}  // namespace reprise::server::grpc
