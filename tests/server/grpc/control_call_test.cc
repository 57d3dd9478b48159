#include "server/grpc/control_call.h"

#include <future>
#include <string>
#include <variant>

#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Rpc = server::testing::FakeObserver::Rpc;

class ControlCallTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer(); }

  // A load call on its way; the request must live until it ends.
  std::future<::grpc::Status> Load(const inference::RepositoryModelLoadRequest& request,
                                   ::grpc::ClientContext* context) {
    return std::async(std::launch::async, [this, &request, context] {
      inference::RepositoryModelLoadResponse response;
      return inference_->RepositoryModelLoad(context, request, &response);
    });
  }
  // What the core was asked for.
  testing::FakeCore::HeldControl AwaitControl() {
    testing::FakeCore::HeldControl control;
    EXPECT_TRUE(testing::Eventually([&] { return !(control = core_.TakeControl()).name.empty(); }));
    return control;
  }
};

TEST_F(ControlCallTest, AnswersWhenTheCoreIsDoneAndNotBefore) {
  inference::RepositoryModelLoadRequest request;
  request.set_model_name("demo");
  (*request.mutable_parameters())["config"].set_string_param("{}");
  (*request.mutable_parameters())["file:1/model.safetensors"].set_bytes_param("ab");
  ::grpc::ClientContext context;
  std::future<::grpc::Status> answer = Load(request, &context);
  const auto control = AwaitControl();
  EXPECT_EQ(control.act, "load");
  EXPECT_EQ(control.name, "demo");
  EXPECT_EQ(std::get<std::string>(control.parameters.at("config")), "{}");
  EXPECT_EQ(std::get<std::string>(control.parameters.at("file:1/model.safetensors")), "ab");
  EXPECT_THAT(observer_.rpcs(), IsEmpty());
  control.done(absl::OkStatus());
  EXPECT_TRUE(answer.get().ok());
  EXPECT_THAT(observer_.rpcs(), ElementsAre(Rpc{"RepositoryModelLoad", absl::StatusCode::kOk}));
}

TEST_F(ControlCallTest, PassesTheCoresErrorOn) {
  inference::RepositoryModelUnloadRequest request;
  request.set_model_name("nobody");
  (*request.mutable_parameters())["unload_dependents"].set_bool_param(true);
  ::grpc::ClientContext context;
  std::future<::grpc::Status> answer = std::async(std::launch::async, [&] {
    inference::RepositoryModelUnloadResponse response;
    return inference_->RepositoryModelUnload(&context, request, &response);
  });
  const auto control = AwaitControl();
  EXPECT_EQ(control.act, "unload");
  EXPECT_EQ(std::get<bool>(control.parameters.at("unload_dependents")), true);
  control.done(absl::NotFoundError("no such model"));
  EXPECT_EQ(answer.get().error_code(), ::grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(observer_.rpcs(),
              ElementsAre(Rpc{"RepositoryModelUnload", absl::StatusCode::kNotFound}));
}

TEST_F(ControlCallTest, TakesARepositoryNameForTheModelWhenThatIsAllThereIs) {
  inference::RepositoryModelLoadRequest request;
  request.set_repository_name("demo");
  ::grpc::ClientContext context;
  std::future<::grpc::Status> answer = Load(request, &context);
  const auto control = AwaitControl();
  EXPECT_EQ(control.name, "demo");
  control.done(absl::OkStatus());
  EXPECT_TRUE(answer.get().ok());

  request.set_model_name("other");
  ::grpc::ClientContext second;
  const ::grpc::Status both = Load(request, &second).get();
  EXPECT_EQ(both.error_code(), ::grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(both.error_message(), HasSubstr("'other'"));
}

TEST_F(ControlCallTest, RefusesAParameterWithoutAValueAndMalformedBytes) {
  inference::RepositoryModelLoadRequest request;
  request.set_model_name("demo");
  (*request.mutable_parameters())["config"];
  ::grpc::ClientContext context;
  const ::grpc::Status status = Load(request, &context).get();
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("'config'"));
  EXPECT_EQ(
      CallWithBytes("/inference.GRPCInferenceService/RepositoryModelUnload", "\xff").error_code(),
      ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(observer_.rpcs().size(), 2u);
}

TEST_F(ControlCallTest, ACallerThatGivesUpIsCountedOnceAndTheWorkGoesOn) {
  inference::RepositoryModelLoadRequest request;
  request.set_model_name("demo");
  ::grpc::ClientContext context;
  std::future<::grpc::Status> answer = Load(request, &context);
  const auto control = AwaitControl();
  context.TryCancel();
  EXPECT_EQ(answer.get().error_code(), ::grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(testing::Eventually([&] { return !observer_.rpcs().empty(); }));
  control.done(absl::OkStatus());
  EXPECT_THAT(observer_.rpcs(),
              ElementsAre(Rpc{"RepositoryModelLoad", absl::StatusCode::kCancelled}));
}

TEST_F(ControlCallTest, TheEndOfTheServerEndsIt) {
  inference::RepositoryModelLoadRequest request;
  request.set_model_name("demo");
  ::grpc::ClientContext context;
  std::future<::grpc::Status> answer = Load(request, &context);
  const auto control = AwaitControl();
  server_->Shutdown(SteadyClock::now());
  EXPECT_EQ(answer.get().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  control.done(absl::OkStatus());
}

}  // namespace
}  // namespace reprise::server::grpc
