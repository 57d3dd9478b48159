// The certificate that a server shows, its key, and the CA of the clients it accepts.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/security/reloaded_files.h"

namespace reprise::server::security {

// Paths of PEM files.
struct TlsFiles {
  std::string certificate;  // the server's certificate first, then those between it and its CA
  std::string private_key;  // of that certificate, without a passphrase
  std::string client_ca;  // clients must show a certificate of one of these; empty: they need none

  bool enabled() const { return !certificate.empty(); }
};

// PEM texts that belong together and can be used now.
struct Certificates {
  std::string chain;
  std::string private_key;
  std::string client_ca;  // empty: clients need no certificate
  std::string subject;    // of the server's certificate, such as "CN=localhost"
  std::chrono::system_clock::time_point not_after;  // when it expires
};

// "2024-05-01T12:00:00Z"
std::string DateOf(std::chrono::system_clock::time_point time);

// InvalidArgument, naming the file and what to do, when a text is not PEM, the key does not belong
// to the certificate or wants a passphrase, the certificate has expired or is not valid yet at
// `now`, or no certificate of client_ca is valid. `contents` are those of the paths in the order of
// TlsFiles, two or three. Thread-safe.
absl::StatusOr<Certificates> CheckCertificates(const TlsFiles& files,
                                               const std::vector<std::string>& contents,
                                               std::chrono::system_clock::time_point now);

using CertificateStore = ReloadedFiles<Certificates>;

// The store of these files, checked against the system's clock.
absl::StatusOr<std::unique_ptr<CertificateStore>> OpenCertificates(const TlsFiles& files);

}  // namespace reprise::server::security
