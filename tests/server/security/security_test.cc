#include "server/security/security.h"

#include <filesystem>
#include <future>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/security/made_certificates.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::security {
namespace {

using reprise::testing::IsOk;
using reprise::testing::ReadBytes;
using reprise::testing::StatusIs;
using ::testing::HasSubstr;
using testing::MadeCertificate;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr char kHere[] = "127.0.0.1";
constexpr char kEverywhere[] = "0.0.0.0";

class SecurityTest : public ::testing::Test {
 protected:
  SecurityTest() {
    options_.reload_interval = std::chrono::milliseconds(1);
    tls_ = {folder_.Write("tls.crt", made_.certificate()), folder_.Write("tls.key", made_.key()),
            ""};
    tokens_ = folder_.Write("tokens", *TokenLine("alice", token_, *ParseGroups("inference")));
  }

  absl::Status Opens(const std::string& host) const {
    return Security::Open(options_, host, [](std::string_view, const auto&) {}).status();
  }

  reprise::testing::TemporaryDirectory folder_;
  const MadeCertificate made_{"server"};
  const std::string token_ = *NewToken();
  SecurityOptions options_;
  TlsFiles tls_;
  std::string tokens_;
};

TEST_F(SecurityTest, NothingIsGuardedUnlessAsked) {
  const auto security = *Security::Open(options_, kEverywhere, nullptr);
  EXPECT_EQ(security->guards().certificates, nullptr);
  EXPECT_THAT(security->guards().access->Authorize(MethodGroup::kControl, {}), IsOk());
}

TEST_F(SecurityTest, ACertificateNeedsItsKey) {
  options_.tls.certificate = tls_.certificate;
  EXPECT_THAT(Opens(kHere), StatusIs(kInvalid, HasSubstr("--tls-key")));
  options_.tls = {"", tls_.private_key, ""};
  EXPECT_THAT(Opens(kHere), StatusIs(kInvalid, HasSubstr("--tls-cert")));
  options_.tls = {"", "", tls_.certificate};
  EXPECT_THAT(Opens(kHere), StatusIs(kInvalid, HasSubstr("--tls-client-ca")));
  options_.tls = tls_;
  EXPECT_THAT(Opens(kHere), IsOk());
}

TEST_F(SecurityTest, TokensDoNotCrossANetworkInTheClearUnlessToldTo) {
  options_.tokens_file = tokens_;
  EXPECT_THAT(Opens(kHere), IsOk());
  EXPECT_THAT(Opens(kEverywhere), StatusIs(kInvalid, HasSubstr("--auth-without-tls")));
  options_.tokens_without_tls = true;
  EXPECT_THAT(Opens(kEverywhere), IsOk());
  options_.tokens_without_tls = false;
  options_.tls = tls_;
  EXPECT_THAT(Opens(kEverywhere), IsOk());
}

TEST_F(SecurityTest, ABadTokensFileIsNamed) {
  options_.tokens_file = folder_.Write("bad", "alice");
  EXPECT_THAT(Opens(kHere), StatusIs(kInvalid, HasSubstr("/bad': line 1")));
}

TEST_F(SecurityTest, ReadsFilesAgainAndTells) {
  options_.tls = tls_;
  options_.tokens_file = tokens_;
  std::promise<std::string> first;
  std::promise<absl::Status> second;
  int calls = 0;  // of one thread
  const auto security = *Security::Open(
      options_, kHere, [&](std::string_view what, const absl::StatusOr<Security::Contents>& now) {
        ++calls;
        if (calls == 1) first.set_value(std::string(what) + ": " + now.value().description);
        if (calls == 2) second.set_value(now.status());
      });
  const MadeCertificate next("next");
  // One file per wait, so that each step is seen.
  const std::string line = *TokenLine("bob", *NewToken(), *ParseGroups("control"));
  std::filesystem::rename(folder_.Write("next", ReadBytes(tokens_) + "\n" + line), tokens_);
  EXPECT_EQ(first.get_future().get(), "tokens: 2 tokens");
  folder_.Write("tls.crt", next.certificate());
  EXPECT_THAT(second.get_future().get(), StatusIs(kInvalid, HasSubstr("")));
  EXPECT_EQ(security->guards().certificates->current()->subject, "CN=server");
  const std::string header = "Bearer " + token_;
  const std::vector<std::string_view> headers = {header};
  EXPECT_THAT(security->guards().access->Authorize(MethodGroup::kInference, headers), IsOk());
}

TEST_F(SecurityTest, TellsWhenANewCertificateExpires) {
  options_.tls = tls_;
  std::promise<Security::Contents> told;
  const auto security = *Security::Open(
      options_, kHere, [&](std::string_view, const absl::StatusOr<Security::Contents>& now) {
        if (now.ok()) told.set_value(*now);  // once: the pair fits only when both are there
      });
  const MadeCertificate next("next");
  folder_.Write("tls.key", next.key());
  folder_.Write("tls.crt", next.certificate());
  EXPECT_EQ(told.get_future().get().expires, security->guards().certificates->current()->not_after);
  EXPECT_EQ(security->guards().certificates->current()->subject, "CN=next");
}

}  // namespace
}  // namespace reprise::server::security
