#include "server/grpc/tls_credentials.h"

#include <memory>
#include <string>

#include "grpcpp/security/credentials.h"
#include "tests/server/grpc/server_fixture.h"
#include "tests/server/security/made_certificates.h"
#include "tests/temporary_directory.h"

namespace reprise::server::grpc::testing {
namespace {

using reprise::testing::IsOk;
using security::testing::MadeCertificate;

class TlsCredentialsTest : public ServerFixture {
 protected:
  void Start(bool ask_clients) {
    security::TlsFiles files{folder_.Write("tls.crt", server_certificate_.certificate()),
                             folder_.Write("tls.key", server_certificate_.key()), ""};
    if (ask_clients) files.client_ca = folder_.Write("ca.crt", ca_.certificate());
    auto store = security::OpenCertificates(files);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    StartServer({}, {.certificates = store_.get(), .access = nullptr});
  }

  // Of a call over a connection of its own by a client that trusts `ca` and shows `own`.
  ::grpc::StatusCode CallOnce(const MadeCertificate& ca, const MadeCertificate* own = nullptr) {
    ::grpc::SslCredentialsOptions options;
    options.pem_root_certs = ca.certificate();
    if (own != nullptr) {
      options.pem_cert_chain = own->certificate();
      options.pem_private_key = own->key();
    }
    ::grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto stub = inference::GRPCInferenceService::NewStub(::grpc::CreateCustomChannel(
        absl::StrCat("127.0.0.1:", server_->port()), ::grpc::SslCredentials(options), arguments));
    ::grpc::ClientContext context;
    inference::ServerLiveResponse response;
    return stub->ServerLive(&context, {}, &response).error_code();
  }

  const MadeCertificate ca_{"ca"};
  const MadeCertificate other_ca_{"other ca"};
  const MadeCertificate server_certificate_{"server", &ca_};
  const MadeCertificate client_{"client", &ca_};
  reprise::testing::TemporaryDirectory folder_;
  std::unique_ptr<security::CertificateStore> store_;
};

TEST_F(TlsCredentialsTest, OnlyClientsThatSpeakTlsAndTrustTheServerGetThrough) {
  Start(/*ask_clients=*/false);
  EXPECT_EQ(CallOnce(ca_), ::grpc::StatusCode::OK);
  EXPECT_EQ(CallOnce(other_ca_), ::grpc::StatusCode::UNAVAILABLE);
  inference::ModelInferResponse response;  // by the fixture's channel, which is in the clear
  EXPECT_EQ(Infer(InferRequest(), &response).error_code(), ::grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsCredentialsTest, ClientsShowACertificateWhereTheServerHasACaForThem) {
  Start(/*ask_clients=*/true);
  const MadeCertificate stranger("stranger", &other_ca_);
  const MadeCertificate expired("client", &ca_, {-3 * 86400, -86400});
  EXPECT_EQ(CallOnce(ca_, &client_), ::grpc::StatusCode::OK);
  EXPECT_EQ(CallOnce(ca_), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(CallOnce(ca_, &stranger), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(CallOnce(ca_, &expired), ::grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsCredentialsTest, NewConnectionsGetTheNewCertificateAndOpenOnesGoOn) {
  Start(/*ask_clients=*/false);
  ::grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca_.certificate();
  const auto open = inference::GRPCInferenceService::NewStub(::grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", server_->port()), ::grpc::SslCredentials(options)));
  const auto ask = [&open] {
    ::grpc::ClientContext context;
    inference::ServerLiveResponse response;
    return open->ServerLive(&context, {}, &response).error_code();
  };
  EXPECT_EQ(ask(), ::grpc::StatusCode::OK);

  const MadeCertificate next("next", &other_ca_);
  folder_.Write("tls.crt", next.certificate());
  EXPECT_FALSE(store_->Refresh().ok());  // the key is still that of the old one
  EXPECT_EQ(CallOnce(ca_), ::grpc::StatusCode::OK);
  folder_.Write("tls.key", next.key());
  EXPECT_TRUE(*store_->Refresh());
  EXPECT_EQ(CallOnce(other_ca_), ::grpc::StatusCode::OK);
  EXPECT_EQ(CallOnce(ca_), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ask(), ::grpc::StatusCode::OK);
}

}  // namespace
}  // namespace reprise::server::grpc::testing
