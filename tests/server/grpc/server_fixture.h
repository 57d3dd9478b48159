// A real server on a free loopback port in front of a fake core, and a real channel to it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "inference/grpc_service.grpc.pb.h"
#include "reprise/v1/reprise.grpc.pb.h"
#include "server/grpc/grpc_server.h"
#include "tests/eventually.h"
#include "tests/server/fakes/fake_core.h"
#include "tests/server/fakes/fake_log.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/server/fakes/fake_statistics.h"
#include "tests/status_matchers.h"

namespace reprise::server::grpc::testing {

using reprise::testing::Eventually;
using server::testing::FakeCore;
using server::testing::FakeLog;
using server::testing::FakeStatistics;
using server::testing::TwoNumbersPerRow;
using std::chrono::milliseconds;
using std::chrono::seconds;

class ServerFixture : public ::testing::Test {
 protected:
  // `credentials` are those of the channel.
  void StartServer(GrpcServerOptions options = {}, const security::PortGuards& guards = {},
                   const std::shared_ptr<::grpc::ChannelCredentials>& credentials =
                       ::grpc::InsecureChannelCredentials()) {
    options.port = 0;
    auto server = GrpcServer::Start(options, MakeBackend(), guards);
    ASSERT_THAT(server, reprise::testing::IsOk());
    server_ = *std::move(server);
    ::grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    // Channels of one address share a connection otherwise, and its settings.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = ::grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_->port()), credentials,
                                           arguments);
    inference_ = inference::GRPCInferenceService::NewStub(channel_);
    reprise_ = v1::Reprise::NewStub(channel_);
    health_ = ::grpc::health::v1::Health::NewStub(channel_);
  }

  Backend MakeBackend() {
    return {.core = core_,
            .observer = observer_,
            .statistics = statistics_,
            .log = log_,
            .alive = [this] { return alive_.load(); }};
  }

  // One row [7, 8] for `demo`.
  static inference::ModelInferRequest InferRequest() {
    inference::ModelInferRequest request;
    request.set_model_name("demo");
    request.set_id("mine");
    auto* input = request.add_inputs();
    input->set_name("input_ids");
    input->set_datatype("INT64");
    input->add_shape(1);
    input->add_shape(2);
    input->mutable_contents()->add_int64_contents(7);
    input->mutable_contents()->add_int64_contents(8);
    return request;
  }

  ::grpc::Status Infer(const inference::ModelInferRequest& request,
                       inference::ModelInferResponse* response) {
    ::grpc::ClientContext context;
    return inference_->ModelInfer(&context, request, response);
  }

  ::grpc::health::v1::HealthCheckResponse::ServingStatus Health(const std::string& name) {
    ::grpc::ClientContext context;
    ::grpc::health::v1::HealthCheckRequest request;
    request.set_service(name);
    ::grpc::health::v1::HealthCheckResponse response;
    const ::grpc::Status status = health_->Check(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.status();
  }

  // Calls `path` with these bytes, whatever they are.
  ::grpc::Status CallWithBytes(const std::string& path, const std::string& bytes) {
    ::grpc::GenericStub stub(channel_);
    ::grpc::Slice slice(bytes);
    ::grpc::ByteBuffer request(&slice, 1);
    ::grpc::ByteBuffer response;
    ::grpc::ClientContext context;
    std::promise<::grpc::Status> done;
    stub.UnaryCall(&context, path, ::grpc::StubOptions(), &request, &response,
                   [&done](::grpc::Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

  FakeCore core_;
  server::testing::FakeObserver observer_;
  FakeStatistics statistics_;
  FakeLog log_;
  std::atomic<bool> alive_{true};
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<::grpc::Channel> channel_;
  std::unique_ptr<inference::GRPCInferenceService::Stub> inference_;
  std::unique_ptr<v1::Reprise::Stub> reprise_;
  std::unique_ptr<::grpc::health::v1::Health::Stub> health_;
};

}  // namespace reprise::server::grpc::testing
