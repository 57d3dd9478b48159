#include "server/grpc/inference_call.h"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using testing::Eventually;
using testing::milliseconds;
using testing::seconds;

class InferenceCallTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer(); }
};

TEST_F(InferenceCallTest, EndsAtTheDeadlineWhileTheCoreIsBusy) {
  core_.Hold();
  ::grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(50));
  inference::ModelInferResponse response;
  EXPECT_EQ(inference_->ModelInfer(&context, InferRequest(), &response).error_code(),
            ::grpc::StatusCode::DEADLINE_EXCEEDED);
  ASSERT_TRUE(Eventually([&] { return observer_.inferences().size() == 1; }));
  EXPECT_TRUE(observer_.inferences()[0].outcome.has_deadline);
  const auto held = core_.TakeHeld();
  ASSERT_EQ(held.size(), 1u);
  EXPECT_TRUE(held[0]->cancellation->cancelled());
}

TEST_F(InferenceCallTest, IgnoresAnAnswerAfterItsEnd) {
  core_.Hold();
  ::grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(20));
  inference::ModelInferResponse response;
  (void)inference_->ModelInfer(&context, InferRequest(), &response);
  ASSERT_TRUE(Eventually([&] { return observer_.rpcs().size() == 1; }));
  core_.Release();
  EXPECT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.rpcs().size(), 1u);
}

TEST_F(InferenceCallTest, TellsTheCoreThatTheCallerHasGone) {
  core_.Hold();
  ::grpc::ClientContext context;
  std::thread caller([&] {
    inference::ModelInferResponse response;
    EXPECT_EQ(inference_->ModelInfer(&context, InferRequest(), &response).error_code(),
              ::grpc::StatusCode::CANCELLED);
  });
  ASSERT_TRUE(Eventually([&] { return core_.held() == 1; }));
  context.TryCancel();
  caller.join();
  ASSERT_TRUE(Eventually([&] { return observer_.inferences().size() == 1; }));
  EXPECT_EQ(observer_.inferences()[0].outcome.code, absl::StatusCode::kCancelled);
  EXPECT_TRUE(core_.TakeHeld()[0]->cancellation->cancelled());
}

TEST_F(InferenceCallTest, AFailureKnowsItsVersionOnceTheCoreHasFoundIt) {
  core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
    request->done(absl::ResourceExhaustedError("the queue is full"), RefusalReason::kQueueRows);
  });
  inference::ModelInferResponse response;
  EXPECT_EQ(Infer(InferRequest(), &response).error_code(), ::grpc::RESOURCE_EXHAUSTED);
  inference::ModelInferRequest unknown = InferRequest();
  unknown.set_model_name("nobody");
  Infer(unknown, &response);
  const auto inferences = observer_.inferences();
  ASSERT_EQ(inferences.size(), 2u);
  EXPECT_EQ(inferences[0].version, "3");
  EXPECT_EQ(inferences[1].version, "");
}

TEST_F(InferenceCallTest, ADeadlineIsARefusalOnlyWhereTheRequestDidNotRun) {
  core_.Hold();
  const auto call_until_late = [&](bool run) {
    ::grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + milliseconds(200));
    inference::ModelInferResponse response;
    std::thread caller([&] {
      EXPECT_EQ(inference_->ModelInfer(&context, InferRequest(), &response).error_code(),
                ::grpc::StatusCode::DEADLINE_EXCEEDED);
    });
    EXPECT_TRUE(Eventually([&] { return core_.held() == 1; }));
    const auto held = core_.TakeHeld();
    if (run) held[0]->progress->Join(/*batch=*/7, SteadyClock::now());
    caller.join();
    const std::size_t expected = run ? 2 : 1;
    EXPECT_TRUE(Eventually([&] { return observer_.inferences().size() == expected; }));
    return observer_.inferences().back().outcome;
  };
  EXPECT_EQ(call_until_late(false).refusal, RefusalReason::kDeadline);
  const InferenceOutcome ran = call_until_late(true);
  EXPECT_EQ(ran.refusal, RefusalReason::kNone);
  EXPECT_EQ(ran.steps.batch, 7);
}

// Answers and cancellations of the same calls at the same moment, from different threads.
TEST_F(InferenceCallTest, EndsOnceWhoeverComesFirst) {
  constexpr int kCalls = 2000;
  constexpr int kAtOnce = 20;
  core_.Hold();
  std::atomic<bool> stop{false};
  std::thread answering([&] {
    while (!stop) core_.Release();
  });
  for (int round = 0; round < kCalls / kAtOnce; ++round) {
    struct Call {
      ::grpc::ClientContext context;
      inference::ModelInferRequest request = InferRequest();
      inference::ModelInferResponse response;
      std::promise<::grpc::Status> done;
    };
    std::vector<Call> calls(kAtOnce);
    for (Call& call : calls) {
      inference_->async()->ModelInfer(
          &call.context, &call.request, &call.response,
          [&call](::grpc::Status status) { call.done.set_value(std::move(status)); });
    }
    // A little later for each round, so that the race is lost and won at every stage.
    std::this_thread::sleep_for(std::chrono::microseconds(10 * round));
    for (Call& call : calls) call.context.TryCancel();
    for (Call& call : calls) {
      const ::grpc::StatusCode code = call.done.get_future().get().error_code();
      EXPECT_TRUE(code == ::grpc::StatusCode::OK || code == ::grpc::StatusCode::CANCELLED) << code;
    }
  }
  // Calls cancelled before they reached the server were never counted; the rest once.
  EXPECT_TRUE(server_->WaitUntilIdle(SteadyClock::now() + seconds(10)));
  server_->Shutdown(SteadyClock::now() + seconds(10));
  stop = true;
  answering.join();
  EXPECT_EQ(observer_.rpcs().size(), observer_.inferences().size());
  EXPECT_LE(observer_.rpcs().size(), static_cast<std::size_t>(kCalls));
  EXPECT_GT(observer_.rpcs().size(), 0u);
}

}  // namespace
}  // namespace reprise::server::grpc
