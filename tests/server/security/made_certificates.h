// Certificates made on the spot, so that no key lies in the tree and none expires there.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace reprise::server::security::testing {

constexpr long kDay = 24 * 60 * 60;

// A certificate and its key in PEM, with `subject` as its common name and 127.0.0.1 as the address
// it is good for; signed by `issuer`, or by itself.
class MadeCertificate {
 public:
  struct Validity {
    long from = -kDay;  // seconds from now
    long until = kDay;
  };

  explicit MadeCertificate(const std::string& subject, const MadeCertificate* issuer = nullptr)
      : MadeCertificate(subject, issuer, Validity{}) {}
  MadeCertificate(const std::string& subject, const MadeCertificate* issuer, Validity validity)
      : key_(EVP_EC_gen("P-256"), EVP_PKEY_free), certificate_(X509_new(), X509_free) {
    static long serial = 1;
    X509* const made = certificate_.get();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made), validity.from);
    X509_gmtime_adj(X509_getm_notAfter(made), validity.until);
    X509_set_pubkey(made, key_.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
    const MadeCertificate& signer = issuer == nullptr ? *this : *issuer;
    X509_set_issuer_name(made, X509_get_subject_name(signer.certificate_.get()));
    Extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    Extend(NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    X509_sign(made, signer.key_.get(), EVP_sha256());
  }

  std::string certificate() const {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
    PEM_write_bio_X509(out.get(), certificate_.get());
    return TextOf(out.get());
  }
  std::string key(const std::string& passphrase = "") const {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
    const EVP_CIPHER* const cipher = passphrase.empty() ? nullptr : EVP_aes_128_cbc();
    PEM_write_bio_PrivateKey(out.get(), key_.get(), cipher,
                             reinterpret_cast<const unsigned char*>(passphrase.data()),
                             static_cast<int>(passphrase.size()), nullptr, nullptr);
    return TextOf(out.get());
  }

 private:
  static std::string TextOf(BIO* out) {
    const char* text = nullptr;
    const long size = BIO_get_mem_data(out, &text);
    return std::string(text, static_cast<std::size_t>(size));
  }

  void Extend(int kind, const char* value) {
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, kind, value), X509_EXTENSION_free);
    X509_add_ext(certificate_.get(), extension.get(), -1);
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

}  // namespace reprise::server::security::testing
