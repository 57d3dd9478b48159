// Who may call what, seen through the port: the rules themselves are those of server/security.

#include <memory>
#include <string>
#include <vector>

#include "server/security/access_control.h"
#include "tests/server/grpc/server_fixture.h"
#include "tests/temporary_directory.h"

namespace reprise::server::grpc::testing {
namespace {

class AccessTest : public ServerFixture {
 protected:
  AccessTest() {
    const std::string line =
        *security::TokenLine("alice", token_, *security::ParseGroups("inference"));
    tokens_ = *security::TokenStore::Open({folder_.Write("tokens", line)},
                                          [](const std::vector<std::string>& contents) {
                                            return security::TokenTable::Parse(contents.front());
                                          });
    access_ = std::make_unique<security::AccessControl>(security::AccessRules(true), tokens_.get());
    GrpcServerOptions options;
    options.health_port = 0;
    StartServer(options, {.certificates = nullptr, .access = access_.get()});
  }

  ::grpc::Status InferWith(const std::string& header) {
    ::grpc::ClientContext context;
    context.AddMetadata("authorization", header);
    inference::ModelInferResponse response;
    return inference_->ModelInfer(&context, InferRequest(), &response);
  }

  const std::string token_ = *security::NewToken();
  reprise::testing::TemporaryDirectory folder_;
  std::unique_ptr<security::TokenStore> tokens_;
  std::unique_ptr<security::AccessControl> access_;
};

TEST_F(AccessTest, ACallWithoutATokenNeverReachesTheCoreAndCountsOnce) {
  core_.SetHandler([](const std::unique_ptr<InferenceRequest>&) { ADD_FAILURE(); });
  inference::ModelInferResponse response;
  EXPECT_EQ(Infer(InferRequest(), &response).error_code(), ::grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(observer_.rpcs(), ::testing::ElementsAre(server::testing::FakeObserver::Rpc{
                                    "ModelInfer", absl::StatusCode::kUnauthenticated}));
  EXPECT_EQ(observer_.inferences().size(), 1);
}

TEST_F(AccessTest, AStreamWithoutATokenEndsBeforeItsFirstRequest) {
  core_.SetHandler([](const std::unique_ptr<InferenceRequest>&) { ADD_FAILURE(); });
  ::grpc::ClientContext context;
  const auto stream = inference_->ModelStreamInfer(&context);
  (void)stream->Write(InferRequest());
  EXPECT_EQ(stream->Finish().error_code(), ::grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(observer_.rpcs(),
              ::testing::ElementsAre(server::testing::FakeObserver::Rpc{
                  "ModelStreamInfer/stream", absl::StatusCode::kUnauthenticated}));
}

TEST_F(AccessTest, TheTokensOwnerIsTheClientKeyOfAStreamToo) {
  std::string key;
  core_.SetHandler([&key](std::unique_ptr<InferenceRequest> request) {
    key = request->client_key;
    request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
  });
  ::grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token_);
  const auto stream = inference_->ModelStreamInfer(&context);
  ASSERT_TRUE(stream->Write(InferRequest()));
  stream->WritesDone();
  inference::ModelStreamInferResponse reply;
  EXPECT_TRUE(stream->Read(&reply));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(key, "alice");
}

TEST_F(AccessTest, BytesThatAreNoMessageAreNotLookedAtBeforeTheToken) {
  EXPECT_EQ(CallWithBytes("/inference.GRPCInferenceService/ModelInfer", "\xff\xff").error_code(),
            ::grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(CallWithBytes("/inference.GRPCInferenceService/ModelConfig", "\xff\xff").error_code(),
            ::grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(AccessTest, TheTokensOwnerIsTheClientKey) {
  std::string key;
  core_.SetHandler([&key](std::unique_ptr<InferenceRequest> request) {
    key = request->client_key;
    request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
  });
  EXPECT_TRUE(InferWith("Bearer " + token_).ok());
  EXPECT_EQ(key, "alice");
}

TEST_F(AccessTest, ATokenOfAnotherGroupIsDenied) {
  ::grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token_);
  inference::ModelConfigResponse response;
  EXPECT_EQ(inference_->ModelConfig(&context, {}, &response).error_code(),
            ::grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(AccessTest, LoadingAModelNeedsAToken) {
  ::grpc::ClientContext context;
  inference::RepositoryModelLoadRequest request;
  request.set_model_name("demo");
  inference::RepositoryModelLoadResponse response;
  EXPECT_EQ(inference_->RepositoryModelLoad(&context, request, &response).error_code(),
            ::grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(core_.TakeControl().name, "");
}

TEST_F(AccessTest, HealthIsOpenAndSaysNoWhenTheServerDrains) {
  using Response = ::grpc::health::v1::HealthCheckResponse;
  EXPECT_EQ(Health("demo"), Response::SERVING);
  const auto probes = ::grpc::health::v1::Health::NewStub(::grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", *server_->health_port()), ::grpc::InsecureChannelCredentials()));
  const auto ask = [&probes](const std::string& name, Response* response) {
    ::grpc::ClientContext context;
    ::grpc::health::v1::HealthCheckRequest request;
    request.set_service(name);
    return probes->Check(&context, request, response);
  };
  Response response;
  EXPECT_TRUE(ask("readiness", &response).ok());
  EXPECT_EQ(response.status(), Response::SERVING);
  EXPECT_EQ(ask("demo", &response).error_code(), ::grpc::StatusCode::NOT_FOUND);
  server_->BeginDrain();
  EXPECT_TRUE(ask("readiness", &response).ok());
  EXPECT_EQ(response.status(), Response::NOT_SERVING);
  EXPECT_TRUE(ask("liveness", &response).ok());
  EXPECT_EQ(response.status(), Response::SERVING);
}

}  // namespace
}  // namespace reprise::server::grpc::testing
