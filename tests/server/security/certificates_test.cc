#include "server/security/certificates.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/security/made_certificates.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::security {
namespace {

using reprise::testing::IsOk;
using reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::kDay;
using testing::MadeCertificate;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

const TlsFiles kFiles{"tls.crt", "tls.key", ""};
const TlsFiles kFilesWithCa{"tls.crt", "tls.key", "ca.crt"};

absl::StatusOr<Certificates> Check(const TlsFiles& files,
                                   const std::vector<std::string>& contents) {
  return CheckCertificates(files, contents, std::chrono::system_clock::now());
}

TEST(Certificates, APairThatBelongsTogetherIsTaken) {
  const MadeCertificate ca("ca");
  const MadeCertificate made("server", &ca);
  const std::string chain = made.certificate() + ca.certificate();
  const auto checked = Check(kFiles, {chain, made.key()});
  ASSERT_THAT(checked, IsOk());
  EXPECT_EQ(checked->chain, chain);
  EXPECT_EQ(checked->private_key, made.key());
  EXPECT_EQ(checked->client_ca, "");
  EXPECT_EQ(checked->subject, "CN=server");
  const auto left = checked->not_after - std::chrono::system_clock::now();
  EXPECT_GT(left, std::chrono::hours(23));
  EXPECT_LT(left, std::chrono::hours(25));
}

TEST(Certificates, AKeyOfAnotherCertificateIsRefusedByName) {
  const MadeCertificate made("server");
  const MadeCertificate other("other");
  EXPECT_THAT(Check(kFiles, {made.certificate(), other.key()}),
              StatusIs(kInvalid, AllOf(HasSubstr("tls.key"), HasSubstr("tls.crt"),
                                       HasSubstr("does not belong"))));
}

TEST(Certificates, TheServersOwnCertificateComesFirst) {
  const MadeCertificate ca("ca");
  const MadeCertificate made("server", &ca);
  EXPECT_THAT(Check(kFiles, {ca.certificate() + made.certificate(), made.key()}),
              StatusIs(kInvalid, HasSubstr("before those of its issuers")));
}

TEST(Certificates, HalfAFileIsRefused) {
  const MadeCertificate made("server");
  const std::string certificate = made.certificate();
  const std::string key = made.key();
  for (const double part : {0.0, 0.2, 0.5, 0.9}) {
    const auto cut = [part](const std::string& text) {
      return text.substr(0, static_cast<std::size_t>(part * static_cast<double>(text.size())));
    };
    EXPECT_THAT(Check(kFiles, {cut(certificate), key}), StatusIs(kInvalid, HasSubstr("tls.crt")));
    EXPECT_THAT(Check(kFiles, {certificate, cut(key)}), StatusIs(kInvalid, HasSubstr("tls.key")));
  }
}

TEST(Certificates, ASecondCertificateCutShortIsRefused) {
  const MadeCertificate ca("ca");
  const MadeCertificate made("server", &ca);
  const std::string cut = ca.certificate().substr(0, 200);
  EXPECT_THAT(Check(kFiles, {made.certificate() + cut, made.key()}),
              StatusIs(kInvalid, HasSubstr("tls.crt")));
}

TEST(Certificates, AnExpiredCertificateIsRefusedWithItsDate) {
  const MadeCertificate made("server", nullptr, {-3 * kDay, -kDay});
  EXPECT_THAT(Check(kFiles, {made.certificate(), made.key()}),
              StatusIs(kInvalid, AllOf(HasSubstr("tls.crt"), HasSubstr("has expired at 2"))));
}

TEST(Certificates, ACertificateOfTomorrowIsRefused) {
  const MadeCertificate made("server", nullptr, {kDay, 2 * kDay});
  EXPECT_THAT(Check(kFiles, {made.certificate(), made.key()}),
              StatusIs(kInvalid, AllOf(HasSubstr("not valid before"), HasSubstr("clock"))));
}

TEST(Certificates, AKeyWithAPassphraseIsRefusedWithAdvice) {
  const MadeCertificate made("server");
  EXPECT_THAT(Check(kFiles, {made.certificate(), made.key("secret")}),
              StatusIs(kInvalid, AllOf(HasSubstr("passphrase"), HasSubstr("openssl pkey"))));
}

TEST(Certificates, NoMessageHoldsTheKey) {
  const MadeCertificate made("server");
  const std::string key = made.key();
  const std::string middle = key.substr(key.size() / 2, 20);
  EXPECT_THAT(Check(kFiles, {made.certificate(), key.substr(10)}),
              StatusIs(kInvalid, Not(HasSubstr(middle))));
}

TEST(Certificates, TheClientsCaIsRead) {
  const MadeCertificate made("server");
  const MadeCertificate ca("ca");
  const auto checked = Check(kFilesWithCa, {made.certificate(), made.key(), ca.certificate()});
  ASSERT_THAT(checked, IsOk());
  EXPECT_EQ(checked->client_ca, ca.certificate());
}

TEST(Certificates, AClientsCaWithoutAValidCertificateIsRefused) {
  const MadeCertificate made("server");
  const MadeCertificate old("old", nullptr, {-3 * kDay, -kDay});
  const MadeCertificate good("good");
  EXPECT_THAT(Check(kFilesWithCa, {made.certificate(), made.key(), old.certificate()}),
              StatusIs(kInvalid, AllOf(HasSubstr("ca.crt"), HasSubstr("expired"))));
  EXPECT_THAT(Check(kFilesWithCa, {made.certificate(), made.key(), "nothing"}),
              StatusIs(kInvalid, AllOf(HasSubstr("ca.crt"), HasSubstr("BEGIN CERTIFICATE"))));
  // While CAs are being replaced, old and new stand side by side.
  EXPECT_THAT(
      Check(kFilesWithCa, {made.certificate(), made.key(), old.certificate() + good.certificate()}),
      IsOk());
}

TEST(Certificates, AStoreFollowsItsFilesAndKeepsAPairUntilTheNextOneIsWhole) {
  const reprise::testing::TemporaryDirectory folder;
  const MadeCertificate first("first");
  const MadeCertificate second("second");
  const TlsFiles files{folder.Write("tls.crt", first.certificate()),
                       folder.Write("tls.key", first.key()), ""};
  const auto store = OpenCertificates(files);
  ASSERT_THAT(store, IsOk());

  folder.Write("tls.crt", second.certificate());
  EXPECT_THAT((*store)->Refresh(), StatusIs(kInvalid, HasSubstr("does not belong")));
  EXPECT_EQ((*store)->current()->subject, "CN=first");
  EXPECT_FALSE(*(*store)->Refresh());  // told once

  folder.Write("tls.key", second.key());
  EXPECT_TRUE(*(*store)->Refresh());
  EXPECT_EQ((*store)->current()->subject, "CN=second");
  EXPECT_FALSE(*(*store)->Refresh());
}

TEST(Certificates, AStoreOfFilesThatAreNotThereSaysWhich) {
  EXPECT_THAT(OpenCertificates({"/nowhere/tls.crt", "/nowhere/tls.key", ""}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/tls.crt")));
}

}  // namespace
}  // namespace reprise::server::security
