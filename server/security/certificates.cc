#include "server/security/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"

namespace reprise::server::security {
namespace {

using SystemTime = std::chrono::system_clock::time_point;

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;

Bio Reader(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// What the library has to say, in its words; empties its list of errors.
std::string LibraryError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

int NoPassphrase(char*, int, int, void*) { return -1; }

// All certificates of a PEM text; what is between them is passed over, as everywhere.
absl::StatusOr<std::vector<Certificate>> ReadAll(const std::string& path, const std::string& text) {
  const Bio reader = Reader(text);
  std::vector<Certificate> all;
  ERR_clear_error();
  while (Certificate one{PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr)}) {
    all.push_back(std::move(one));
  }
  // Ending by finding no further one is how it should end.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string error = LibraryError();
  if (at_end && !all.empty()) return all;
  return absl::InvalidArgumentError(
      absl::StrCat("'", path, "' is not a PEM file of certificates (",
                   all.empty() && at_end ? "none found" : error,
                   "); expected blocks that begin with -----BEGIN CERTIFICATE-----"));
}

SystemTime TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return SystemTime::min();
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

bool ValidAt(const X509* certificate, SystemTime now) {
  return TimeOf(X509_get0_notBefore(certificate)) <= now &&
         now < TimeOf(X509_get0_notAfter(certificate));
}

absl::Status CheckValidAt(const std::string& path, const X509* certificate, SystemTime now) {
  const SystemTime from = TimeOf(X509_get0_notBefore(certificate));
  const SystemTime until = TimeOf(X509_get0_notAfter(certificate));
  if (from <= now && now < until) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the certificate in '", path, "' ",
      now < from
          ? absl::StrCat("is not valid before ", DateOf(from), "; check this machine's clock")
          : absl::StrCat("has expired at ", DateOf(until), "; have a new one issued")));
}

std::string SubjectOf(const X509* certificate) {
  const Bio writer(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(writer.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  const char* text = nullptr;
  const long size = BIO_get_mem_data(writer.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

absl::StatusOr<Key> ReadKey(const std::string& path, const std::string& text) {
  const Bio reader = Reader(text);
  ERR_clear_error();
  Key key(PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr));
  if (key != nullptr) {
    ERR_clear_error();
    return key;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", path, "' is not the PEM file of a private key without passphrase (",
                   LibraryError(), "); remove one with: openssl pkey -in ENCRYPTED -out PLAIN"));
}

// Whether the library that speaks TLS takes these, which is stricter than reading them: it also
// refuses keys that are too short and signatures that are too weak.
absl::Status CheckUsable(const TlsFiles& files, X509* certificate, EVP_PKEY* key) {
  const Context context(SSL_CTX_new(TLS_server_method()));
  ERR_clear_error();
  if (SSL_CTX_use_certificate(context.get(), certificate) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("the certificate in '", files.certificate,
                                                   "' cannot be used for TLS: ", LibraryError()));
  }
  if (SSL_CTX_use_PrivateKey(context.get(), key) == 1 &&
      SSL_CTX_check_private_key(context.get()) == 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the key in '", files.private_key, "' does not belong to the first certificate in '",
      files.certificate, "' (", LibraryError(),
      "); expected a pair, with the server's own certificate before those of its issuers"));
}

absl::Status CheckClientCa(const std::string& path, const std::string& text, SystemTime now) {
  REPRISE_ASSIGN_OR_RETURN(const std::vector<Certificate> all, ReadAll(path, text));
  for (const Certificate& one : all) {
    if (ValidAt(one.get(), now)) return absl::OkStatus();
  }
  return CheckValidAt(path, all.front().get(), now);
}

}  // namespace

std::string DateOf(SystemTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

absl::StatusOr<Certificates> CheckCertificates(const TlsFiles& files,
                                               const std::vector<std::string>& contents,
                                               SystemTime now) {
  REPRISE_CHECK(contents.size() == (files.client_ca.empty() ? 2 : 3));
  REPRISE_ASSIGN_OR_RETURN(const std::vector<Certificate> chain,
                           ReadAll(files.certificate, contents[0]));
  REPRISE_ASSIGN_OR_RETURN(const Key key, ReadKey(files.private_key, contents[1]));
  REPRISE_RETURN_IF_ERROR(CheckUsable(files, chain.front().get(), key.get()));
  REPRISE_RETURN_IF_ERROR(CheckValidAt(files.certificate, chain.front().get(), now));
  Certificates checked{.chain = contents[0],
                       .private_key = contents[1],
                       .client_ca = "",
                       .subject = SubjectOf(chain.front().get()),
                       .not_after = TimeOf(X509_get0_notAfter(chain.front().get()))};
  if (!files.client_ca.empty()) {
    REPRISE_RETURN_IF_ERROR(CheckClientCa(files.client_ca, contents[2], now));
    checked.client_ca = contents[2];
  }
  return checked;
}

absl::StatusOr<std::unique_ptr<CertificateStore>> OpenCertificates(const TlsFiles& files) {
  std::vector<std::string> paths = {files.certificate, files.private_key};
  if (!files.client_ca.empty()) paths.push_back(files.client_ca);
  return CertificateStore::Open(
      std::move(paths), [files](const std::vector<std::string>& contents) {
        return CheckCertificates(files, contents, std::chrono::system_clock::now());
      });
}

}  // namespace reprise::server::security
