#include "server/grpc/inference_service.h"

#include <cstring>
#include <string>

#include "tests/server/fakes/fake_observer.h"
#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Rpc = server::testing::FakeObserver::Rpc;

class InferenceServiceTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer(); }
};

TEST_F(InferenceServiceTest, LiveFollowsTheHeartbeat) {
  inference::ServerLiveResponse response;
  ::grpc::ClientContext context;
  ASSERT_TRUE(inference_->ServerLive(&context, {}, &response).ok());
  EXPECT_TRUE(response.live());
  alive_ = false;
  ::grpc::ClientContext second;
  ASSERT_TRUE(inference_->ServerLive(&second, {}, &response).ok());
  EXPECT_FALSE(response.live());
  EXPECT_THAT(observer_.rpcs(), ElementsAre(Rpc{"ServerLive", absl::StatusCode::kOk},
                                            Rpc{"ServerLive", absl::StatusCode::kOk}));
}

TEST_F(InferenceServiceTest, ReadyFollowsTheCore) {
  core_.SetReady(false);
  inference::ServerReadyResponse response;
  ::grpc::ClientContext context;
  ASSERT_TRUE(inference_->ServerReady(&context, {}, &response).ok());
  EXPECT_FALSE(response.ready());
}

TEST_F(InferenceServiceTest, ModelReadyTellsUnknownFromNotReady) {
  core_.SetReady(false);
  inference::ModelReadyRequest request;
  inference::ModelReadyResponse response;
  request.set_name("demo");
  ::grpc::ClientContext context;
  ASSERT_TRUE(inference_->ModelReady(&context, request, &response).ok());
  EXPECT_FALSE(response.ready());
  request.set_name("nobody");
  ::grpc::ClientContext second;
  const ::grpc::Status status = inference_->ModelReady(&second, request, &response);
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), StartsWith("Request for unknown model: 'nobody'"));
}

TEST_F(InferenceServiceTest, MetadataListsOnlyWhatWorks) {
  inference::ServerMetadataResponse response;
  ::grpc::ClientContext context;
  ASSERT_TRUE(inference_->ServerMetadata(&context, {}, &response).ok());
  EXPECT_EQ(response.name(), "reprise");
  EXPECT_FALSE(response.version().empty());
  EXPECT_THAT(response.extensions(),
              ElementsAre("binary_tensor_data", "classification", "logging", "model_configuration",
                          "model_repository", "model_repository(unload_dependents)",
                          "schedule_policy", "statistics"));
}

TEST_F(InferenceServiceTest, DescribesAModelTwice) {
  inference::ModelMetadataRequest metadata_request;
  inference::ModelMetadataResponse metadata;
  metadata_request.set_name("demo");
  ::grpc::ClientContext context;
  ASSERT_TRUE(inference_->ModelMetadata(&context, metadata_request, &metadata).ok());
  EXPECT_THAT(metadata.versions(), ElementsAre("1", "3"));
  inference::ModelConfigRequest config_request;
  inference::ModelConfigResponse config;
  config_request.set_name("demo");
  ::grpc::ClientContext second;
  ASSERT_TRUE(inference_->ModelConfig(&second, config_request, &config).ok());
  EXPECT_EQ(config.config().input_size(), metadata.inputs_size());
}

TEST_F(InferenceServiceTest, IndexListsModelsOrReadyOnesOnly) {
  inference::RepositoryIndexRequest request;
  inference::RepositoryIndexResponse response;
  ::grpc::ClientContext context;
  ASSERT_TRUE(inference_->RepositoryIndex(&context, request, &response).ok());
  ASSERT_EQ(response.models_size(), 2);
  EXPECT_EQ(response.models(0).state(), "READY");
  EXPECT_EQ(response.models(1).state(), "UNAVAILABLE");
  EXPECT_EQ(response.models(1).reason(), "no weights");
  request.set_ready(true);
  ::grpc::ClientContext second;
  ASSERT_TRUE(inference_->RepositoryIndex(&second, request, &response).ok());
  EXPECT_EQ(response.models_size(), 1);
}

TEST_F(InferenceServiceTest, InfersAndCountsOnce) {
  inference::ModelInferResponse response;
  const ::grpc::Status status = Infer(InferRequest(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model_name(), "demo");
  EXPECT_EQ(response.model_version(), "3");
  EXPECT_EQ(response.id(), "mine");
  ASSERT_EQ(response.raw_output_contents_size(), 1);
  float values[2];
  ASSERT_EQ(response.raw_output_contents(0).size(), sizeof(values));
  std::memcpy(values, response.raw_output_contents(0).data(), sizeof(values));
  EXPECT_THAT(values, ElementsAre(0.5f, 1.5f));

  EXPECT_THAT(observer_.rpcs(), ElementsAre(Rpc{"ModelInfer", absl::StatusCode::kOk}));
  const auto inferences = observer_.inferences();
  ASSERT_EQ(inferences.size(), 1u);
  EXPECT_EQ(inferences[0].model, "demo");
  EXPECT_EQ(inferences[0].version, "3");
  EXPECT_EQ(inferences[0].outcome.rows, 1);
  EXPECT_EQ(inferences[0].outcome.tokens, 5);
  EXPECT_EQ(inferences[0].outcome.timing.queue.count(), 7);
  EXPECT_GT(inferences[0].outcome.decode.count(), 0);
  EXPECT_GT(inferences[0].outcome.encode.count(), 0);
  EXPECT_GE(inferences[0].outcome.duration,
            inferences[0].outcome.decode + inferences[0].outcome.encode);
  EXPECT_FALSE(inferences[0].outcome.has_deadline);
}

TEST_F(InferenceServiceTest, PassesDeadlineAndCallerOn) {
  SteadyClock::time_point deadline;
  std::string client_key;
  core_.SetHandler([&](std::unique_ptr<InferenceRequest> request) {
    deadline = request->deadline;
    client_key = request->client_key;
    request->done(testing::TwoNumbersPerRow(*request), RefusalReason::kNone);
  });
  ::grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + testing::seconds(30));
  inference::ModelInferResponse response;
  ASSERT_TRUE(inference_->ModelInfer(&context, InferRequest(), &response).ok());
  const auto left = deadline - SteadyClock::now();
  EXPECT_GT(left, testing::seconds(20));
  EXPECT_LT(left, testing::seconds(31));
  EXPECT_EQ(client_key, "ipv4:127.0.0.1");
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_TRUE(observer_.inferences()[0].outcome.has_deadline);
  EXPECT_GT(observer_.inferences()[0].outcome.deadline_slack, testing::seconds(20));
}

TEST_F(InferenceServiceTest, ClassifiesWithTheModelsLabels) {
  inference::ModelInferRequest request = InferRequest();
  auto* output = request.add_outputs();
  output->set_name("logits");
  (*output->mutable_parameters())["classification"].set_int64_param(1);
  inference::ModelInferResponse response;
  ASSERT_TRUE(Infer(request, &response).ok());
  EXPECT_EQ(response.raw_output_contents(0).substr(4), "1.5:1:yes");
}

TEST_F(InferenceServiceTest, AnswersMalformedBytesItself) {
  const ::grpc::Status status =
      CallWithBytes("/inference.GRPCInferenceService/ModelInfer", "\xff\xff\xff");
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("inference.ModelInferRequest"));
  EXPECT_THAT(observer_.rpcs(), ElementsAre(Rpc{"ModelInfer", absl::StatusCode::kInvalidArgument}));
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.inferences()[0].outcome.refusal, RefusalReason::kInvalid);
}

TEST_F(InferenceServiceTest, AnswersMalformedBytesOfOtherMethodsToo) {
  EXPECT_EQ(CallWithBytes("/inference.GRPCInferenceService/ModelReady", "\xff").error_code(),
            ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(CallWithBytes("/grpc.health.v1.Health/Check", "\xff").error_code(),
            ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(observer_.rpcs(),
              ElementsAre(Rpc{"ModelReady", absl::StatusCode::kInvalidArgument},
                          Rpc{"Health/Check", absl::StatusCode::kInvalidArgument}));
}

TEST_F(InferenceServiceTest, CountsAnUnknownMethodOnce) {
  const ::grpc::Status status = CallWithBytes("/no.Such/Method", "");
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("/no.Such/Method"));
  EXPECT_THAT(observer_.rpcs(), ElementsAre(Rpc{"_unknown", absl::StatusCode::kUnimplemented}));
  EXPECT_THAT(observer_.inferences(), IsEmpty());
}

TEST_F(InferenceServiceTest, SaysWhichMethodsItDoesNotHave) {
  for (const std::string method :
       {"SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister",
        "CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister",
        "TraceSetting"}) {
    const ::grpc::Status status = CallWithBytes("/inference.GRPCInferenceService/" + method, "");
    EXPECT_EQ(status.error_code(), ::grpc::StatusCode::UNIMPLEMENTED) << method;
    EXPECT_THAT(status.error_message(), HasSubstr(method));
  }
  EXPECT_EQ(observer_.rpcs().size(), 7u);
}

TEST_F(InferenceServiceTest, TellsTheStatisticsOfTheVersionsAskedFor) {
  for (const char* version : {"1", "3"}) {
    statistics_.versions.push_back({.model = "demo", .version = version, .ready = true});
  }
  statistics_.versions.push_back({.model = "other", .version = "1", .ready = true});
  statistics_.versions.push_back({.model = "gone", .version = "1", .ready = false});
  const auto ask = [this](const std::string& name, const std::string& version) {
    inference::ModelStatisticsRequest request;
    request.set_name(name);
    request.set_version(version);
    inference::ModelStatisticsResponse response;
    ::grpc::ClientContext context;
    EXPECT_TRUE(inference_->ModelStatistics(&context, request, &response).ok());
    std::string found;
    for (const auto& each : response.model_stats()) {
      found += each.name() + each.version() + " ";
    }
    return found;
  };
  EXPECT_EQ(ask("", ""), "demo1 demo3 other1 ");
  EXPECT_EQ(ask("demo", ""), "demo1 demo3 ");
  EXPECT_EQ(ask("demo", "3"), "demo3 ");
  inference::ModelStatisticsRequest request;
  request.set_name("nobody");
  inference::ModelStatisticsResponse response;
  ::grpc::ClientContext context;
  EXPECT_EQ(inference_->ModelStatistics(&context, request, &response).error_code(),
            ::grpc::StatusCode::NOT_FOUND);
}

TEST_F(InferenceServiceTest, ChangesSomeLogSettingsAndTellsAll) {
  inference::LogSettingsRequest request;
  (*request.mutable_settings())["log_warning"].set_bool_param(false);
  (*request.mutable_settings())["log_verbose_level"].set_uint32_param(2);
  inference::LogSettingsResponse response;
  ::grpc::ClientContext context;
  ASSERT_TRUE(inference_->LogSettings(&context, request, &response).ok());
  ASSERT_EQ(response.settings().size(), 6u);
  EXPECT_FALSE(response.settings().at("log_warning").bool_param());
  EXPECT_EQ(response.settings().at("log_verbose_level").uint32_param(), 2u);
  EXPECT_TRUE(response.settings().at("log_info").bool_param());
  EXPECT_EQ(response.settings().at("log_format").string_param(), "json");

  (*request.mutable_settings())["log_error"].set_string_param("off");
  ::grpc::ClientContext second;
  EXPECT_EQ(inference_->LogSettings(&second, request, &response).error_code(),
            ::grpc::StatusCode::INVALID_ARGUMENT);
  (*request.mutable_settings())["log_error"].Clear();
  ::grpc::ClientContext third;
  const ::grpc::Status status = inference_->LogSettings(&third, request, &response);
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("no value"));
  EXPECT_EQ(log_.changes(), 1);
}

TEST_F(InferenceServiceTest, KeepsErrorsOfLongNamesReadable) {
  inference::ModelReadyRequest request;
  request.set_name(std::string(100'000, 'x'));
  inference::ModelReadyResponse response;
  ::grpc::ClientContext context;
  const ::grpc::Status status = inference_->ModelReady(&context, request, &response);
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::NOT_FOUND);
  EXPECT_LT(status.error_message().size(), 1100u);
}

TEST_F(InferenceServiceTest, PassesARefusalOn) {
  core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
    request->done(absl::ResourceExhaustedError("the queue is full"), RefusalReason::kQueueRows);
  });
  ::grpc::ClientContext context;
  inference::ModelInferResponse response;
  const ::grpc::Status status = inference_->ModelInfer(&context, InferRequest(), &response);
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1u);
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.inferences()[0].outcome.refusal, RefusalReason::kQueueRows);
}

class SmallMessagesTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer({.max_receive_bytes = 1000, .max_send_bytes = 1000}); }
};

TEST_F(SmallMessagesTest, CountsARequestThatIsTooLarge) {
  inference::ModelInferRequest request = InferRequest();
  request.set_id(std::string(2000, 'x'));
  inference::ModelInferResponse response;
  const ::grpc::Status status = Infer(request, &response);
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("--max-receive-bytes"));
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.inferences()[0].outcome.refusal, RefusalReason::kTooLarge);
}

TEST_F(SmallMessagesTest, SaysThatAReplyIsTooLarge) {
  core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
    InferenceReply reply = testing::TwoNumbersPerRow(*request);
    reply.id = std::string(2000, 'x');
    request->done(std::move(reply), RefusalReason::kNone);
  });
  inference::ModelInferResponse response;
  const ::grpc::Status status = Infer(InferRequest(), &response);
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("--max-send-bytes"));
}

}  // namespace
}  // namespace reprise::server::grpc
