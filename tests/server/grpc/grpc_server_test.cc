#include "server/grpc/grpc_server.h"

#include <future>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using ::grpc::health::v1::HealthCheckResponse;
using ::reprise::testing::StatusIs;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::milliseconds;
using testing::seconds;

class GrpcServerTest : public testing::ServerFixture {
 protected:
  std::future<::grpc::Status> HoldOneCall() {
    core_.Hold();
    return SendOneCall();
  }
  // Starts a call and returns when the core has it.
  std::future<::grpc::Status> SendOneCall() {
    auto call = std::async(std::launch::async, [this] {
      inference::ModelInferResponse response;
      return Infer(InferRequest(), &response);
    });
    EXPECT_TRUE(Eventually([this] { return core_.held() == 1; }));
    return call;
  }
};

TEST_F(GrpcServerTest, ReportsTheFreePortItTook) {
  StartServer();
  EXPECT_GT(server_->port(), 0);
}

TEST_F(GrpcServerTest, RefusesATakenPort) {
  StartServer();
  GrpcServerOptions options;
  options.port = server_->port();
  EXPECT_THAT(GrpcServer::Start(options, MakeBackend()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another process")));
}

TEST_F(GrpcServerTest, RefusesOptionsOutOfRange) {
  EXPECT_THAT(Validate({.port = 65536}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("port is 65536")));
  EXPECT_THAT(Validate({.host = ""}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("host is empty")));
  EXPECT_THAT(Validate({.max_receive_bytes = std::int64_t{1} << 31}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_receive_bytes")));
  EXPECT_THAT(Validate({.max_concurrent_streams = 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_concurrent_streams")));
}

TEST_F(GrpcServerTest, ServesOnWhileSayingThatItWillStop) {
  StartServer();
  server_->BeginDrain();
  EXPECT_EQ(Health("readiness"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("demo"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("liveness"), HealthCheckResponse::SERVING);
  EXPECT_EQ(Health("startup"), HealthCheckResponse::SERVING);
  inference::ModelInferResponse response;
  EXPECT_TRUE(Infer(InferRequest(), &response).ok());
}

TEST_F(GrpcServerTest, RefusesNewInferencesWithAHint) {
  StartServer();
  server_->BeginDrain();
  server_->RefuseNew();
  ::grpc::ClientContext context;
  inference::ModelInferResponse response;
  const ::grpc::Status status = inference_->ModelInfer(&context, InferRequest(), &response);
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::UNAVAILABLE);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::RetryInfo retry;
  ASSERT_EQ(details.details_size(), 2);
  EXPECT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1u);
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.inferences()[0].outcome.refusal, RefusalReason::kDraining);
  EXPECT_EQ(Health("liveness"), HealthCheckResponse::SERVING);
}

TEST_F(GrpcServerTest, LetsRunningInferencesFinish) {
  StartServer();
  auto call = HoldOneCall();
  server_->RefuseNew();
  EXPECT_FALSE(server_->WaitUntilIdle(SteadyClock::now() + milliseconds(20)));
  auto stopped = std::async(std::launch::async,
                            [this] { server_->Shutdown(SteadyClock::now() + seconds(30)); });
  std::this_thread::sleep_for(milliseconds(20));
  core_.Release();
  stopped.get();
  EXPECT_TRUE(call.get().ok());
}

TEST_F(GrpcServerTest, EndsInferencesThatOutstayTheDeadline) {
  StartServer();
  auto call = HoldOneCall();
  const auto start = SteadyClock::now();
  server_->Shutdown(start + milliseconds(50));
  EXPECT_LT(SteadyClock::now() - start, seconds(1));
  EXPECT_EQ(call.get().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(core_.TakeHeld()[0]->cancellation->cancelled());
  EXPECT_EQ(observer_.inferences().size(), 1u);
}

TEST_F(GrpcServerTest, ItsReasonForEndingAnInferenceIsNotOvertakenByTheCores) {
  StartServer();
  core_.AnswerCancelled();
  auto call = SendOneCall();
  server_->Shutdown(SteadyClock::now());
  EXPECT_EQ(call.get().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.inferences()[0].outcome.code, absl::StatusCode::kUnavailable);
}

TEST_F(GrpcServerTest, StopsWithoutBeingTold) {
  StartServer();
  auto call = HoldOneCall();
  server_.reset();
  EXPECT_EQ(call.get().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  // The core still has the request; answering it now must hurt nobody.
  core_.Release();
}

TEST_F(GrpcServerTest, TakesTheCallerFromMetadata) {
  StartServer({.client_key_metadata = "x-team"});
  std::string client_key;
  core_.SetHandler([&](std::unique_ptr<InferenceRequest> request) {
    client_key = request->client_key;
    request->done(testing::TwoNumbersPerRow(*request), RefusalReason::kNone);
  });
  ::grpc::ClientContext context;
  context.AddMetadata("x-team", "blue");
  inference::ModelInferResponse response;
  ASSERT_TRUE(inference_->ModelInfer(&context, InferRequest(), &response).ok());
  EXPECT_EQ(client_key, "blue");
}

}  // namespace
}  // namespace reprise::server::grpc
