// TLS for a gRPC port, with certificates that may be replaced while it is open.
#pragma once

#include <memory>

#include "grpcpp/security/server_credentials.h"
#include "server/security/certificates.h"

namespace reprise::server::grpc {

// TLS 1.2 or 1.3. Every new connection gets what `store` holds at that moment; open ones keep what
// they began with. Clients need a certificate when the store has a CA for them. `store` and the
// result outlive the server.
//
// Not gRPC's FileWatcherCertificateProvider: in 1.51 a certificate and key that do not belong
// together, as between the writing of two files, leave it with none to accept connections with.
std::shared_ptr<::grpc::ServerCredentials> TlsCredentials(const security::CertificateStore& store);

}  // namespace reprise::server::grpc
