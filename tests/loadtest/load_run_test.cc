#include "loadtest/generator/load_run.h"

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "inference/grpc_service.grpc.pb.h"
#include "tests/status_matchers.h"

namespace reprise::loadtest {
namespace {

using ::reprise::testing::StatusIs;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

// Answers each call after a time that depends on how many it has seen.
class SlowService final : public inference::GRPCInferenceService::Service {
 public:
  explicit SlowService(std::function<milliseconds(int)> time) : time_(std::move(time)) {}
  ::grpc::Status ModelInfer(::grpc::ServerContext*, const inference::ModelInferRequest* request,
                            inference::ModelInferResponse*) override {
    std::this_thread::sleep_for(time_(seen_++));
    if (request->model_name() == "m") return ::grpc::Status::OK;
    return {::grpc::StatusCode::NOT_FOUND, "no such model", "details"};
  }
  int seen() const { return seen_; }

 private:
  const std::function<milliseconds(int)> time_;
  std::atomic<int> seen_{0};
};

class LoadRunTest : public ::testing::Test {
 protected:
  void Serve(std::function<milliseconds(int)> time) {
    service_ = std::make_unique<SlowService>(std::move(time));
    ::grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    options_.address = absl::StrCat("127.0.0.1:", port);
    options_.model = "m";
    options_.lengths = {{4, 4, 1}};
    options_.warm_up = milliseconds(0);
  }

  absl::StatusOr<LoadOutcome> Run() {
    REPRISE_ASSIGN_OR_RETURN(const LoadPlan plan, MakeLoadPlan(options_));
    planned_ = std::ssize(plan.calls);
    return RunLoad(options_, plan, [](double) {});
  }

  std::unique_ptr<SlowService> service_;
  std::unique_ptr<::grpc::Server> server_;
  LoadOptions options_;
  std::int64_t planned_ = 0;
};

TEST_F(LoadRunTest, AnOpenLoopSendsWhatWasPlannedHoweverSlowTheServerIs) {
  Serve([](int) { return milliseconds(300); });
  options_.rate = 200;
  options_.duration = milliseconds(500);
  const auto outcome = Run();
  ASSERT_OK(outcome);
  EXPECT_EQ(std::ssize(outcome->calls), planned_);
  EXPECT_EQ(service_->seen(), planned_);
  EXPECT_EQ(outcome->counted_until - outcome->counted_from, milliseconds(500));
  for (const CallRecord& call : outcome->calls) EXPECT_GE(call.latency(), milliseconds(300));
}

TEST_F(LoadRunTest, AClosedLoopHasAsManyCallsUnderWayAsCallers) {
  Serve([](int) { return milliseconds(100); });
  options_.concurrency = 2;
  options_.duration = milliseconds(500);
  const auto outcome = Run();
  ASSERT_OK(outcome);
  EXPECT_GE(outcome->calls.size(), 2u);
  EXPECT_LE(outcome->calls.size(), 10u);  // 2 callers, 500 ms, 100 ms each
}

TEST_F(LoadRunTest, CallsOfTheWarmUpAreSentAndNotCounted) {
  Serve([](int) { return milliseconds(0); });
  options_.rate = 200;
  options_.warm_up = milliseconds(300);
  options_.duration = milliseconds(300);
  const auto outcome = Run();
  ASSERT_OK(outcome);
  EXPECT_EQ(service_->seen(), planned_);
  EXPECT_LT(std::ssize(outcome->calls), planned_);
  for (const CallRecord& call : outcome->calls) EXPECT_GE(call.due, milliseconds(300));
}

TEST_F(LoadRunTest, ADeadlineBeginsWhenTheCallWasDue) {
  Serve([](int) { return milliseconds(500); });
  options_.rate = 50;
  options_.max_calls = 3;
  options_.deadline = milliseconds(50);
  const auto outcome = Run();
  ASSERT_OK(outcome);
  ASSERT_EQ(outcome->calls.size(), 3u);
  for (const CallRecord& call : outcome->calls) {
    EXPECT_EQ(call.code, ::grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_FALSE(call.refused_by_server);
  }
}

TEST_F(LoadRunTest, AServerThatNeverAnswersIsGivenUpAfterTheDrain) {
  Serve([](int) { return milliseconds(1500); });
  options_.rate = 50;
  options_.max_calls = 2;
  options_.duration = milliseconds(200);
  options_.drain = milliseconds(100);
  const auto outcome = Run();
  ASSERT_OK(outcome);
  ASSERT_EQ(outcome->calls.size(), 2u);
  EXPECT_EQ(outcome->calls[0].code, ::grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(LoadRunTest, ErrorsOfTheServerAreRefusals) {
  Serve([](int) { return milliseconds(0); });
  options_.model = "other";
  options_.max_calls = 5;
  const auto outcome = Run();
  ASSERT_OK(outcome);
  ASSERT_EQ(outcome->calls.size(), 5u);
  EXPECT_EQ(outcome->calls[0].code, ::grpc::StatusCode::NOT_FOUND);
}

TEST(LoadRun, AnAddressWithoutServerIsSaid) {
  LoadOptions options;
  options.address = "127.0.0.1:1";
  options.model = "m";
  const auto plan = MakeLoadPlan(options);
  ASSERT_OK(plan);
  EXPECT_THAT(RunLoad(options, *plan, [](double) {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no server answers at")));
}

}  // namespace
}  // namespace reprise::loadtest
