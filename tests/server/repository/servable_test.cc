#include "server/repository/servable.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/request/retry_hint.h"
#include "tests/server/fakes/answer.h"
#include "tests/server/fakes/fake_clock.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/server/fakes/fake_servable.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"

namespace reprise::server::repository {
namespace {

using ::reprise::server::testing::EncodeAsBytes;
using ::reprise::server::testing::FakeClock;
using ::reprise::server::testing::FakeObserver;
using ::reprise::server::testing::FakeParts;
using ::reprise::server::testing::Floats;
using ::reprise::server::testing::Int64Tensor;
using ::reprise::server::testing::PendingAnswer;
using ::reprise::server::testing::RunnerControl;
using ::reprise::server::testing::TextTensor;
using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ServableTest : public ::testing::Test {
 protected:
  void Start(ServableParts parts) {
    servable_ = std::make_unique<Servable>(std::move(parts), clock_, observer_);
  }
  void Start() { Start(FakeParts("m", "1", control_)); }

  std::unique_ptr<InferenceRequest> Request(std::vector<Tensor> inputs) {
    auto request = std::make_unique<InferenceRequest>();
    request->inputs = std::move(inputs);
    return request;
  }
  std::unique_ptr<InferenceRequest> Ids(std::vector<std::int64_t> ids) {
    const auto columns = static_cast<std::int64_t>(ids.size());
    return Request({Int64Tensor("input_ids", {1, columns}, ids)});
  }
  std::unique_ptr<InferenceRequest> Texts(std::vector<std::string> texts) {
    const auto rows = static_cast<std::int64_t>(texts.size());
    return Request({TextTensor({rows}, std::move(texts))});
  }

  PendingAnswer Infer(std::unique_ptr<InferenceRequest> request) {
    PendingAnswer answer;
    request->done = answer.callback();
    servable_->Infer(std::move(request));
    return answer;
  }

  // A request that runs until control_->Release(), so that what follows has to wait.
  PendingAnswer KeepBusy() {
    control_->Hold();
    PendingAnswer running = Infer(Ids({1}));
    control_->AwaitRuns(1);
    return running;
  }

  FakeClock clock_;
  FakeObserver observer_;
  std::shared_ptr<RunnerControl> control_ = std::make_shared<RunnerControl>();
  std::unique_ptr<Servable> servable_;
};

TEST_F(ServableTest, PaddedIdsComeBackInTheirShape) {
  Start();
  const auto reply = Infer(Request({Int64Tensor("input_ids", {2, 3}, {7, 0, 8, 9, 0, 0}),
                                    Int64Tensor("attention_mask", {2, 3}, {1, 0, 1, 1, 0, 0})}))
                         .Await();
  ASSERT_OK(reply);
  ASSERT_EQ(reply->outputs.size(), 2u);  // all outputs of the model
  EXPECT_THAT(reply->outputs[0].shape, ElementsAre(2, 3, 2));
  EXPECT_THAT(Floats(reply->outputs[0]), ElementsAre(7, 1000, 0, 0, 8, 1002, 9, 1000, 0, 0, 0, 0));
  EXPECT_THAT(Floats(reply->outputs[1]), ElementsAre(15, 2, 9, 1));
  EXPECT_EQ(reply->rows, 2);
  EXPECT_EQ(reply->tokens, 3);
  EXPECT_THAT(observer_.sequences(), ElementsAre(2, 1));
}

TEST_F(ServableTest, TextIsTokenizedAndEmbedded) {
  Start();
  const auto reply = Infer(Texts({"ab", "c"})).Await();
  ASSERT_OK(reply);
  ASSERT_EQ(reply->outputs.size(), 1u);
  EXPECT_EQ(reply->outputs[0].name, "sentence_embedding");
  EXPECT_THAT(Floats(reply->outputs[0]), ElementsAre('a' + 'b', 2, 'c', 1));
}

TEST_F(ServableTest, OverlongTextIsRefusedUnlessTruncationIsAskedFor) {
  Start();
  const PendingAnswer refused = Infer(Texts({"123456789"}));
  EXPECT_THAT(refused.Await(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("truncate")));
  EXPECT_EQ(refused.refusal(), RefusalReason::kInvalid);
  auto request = Texts({"123456789"});
  request->truncate = true;
  EXPECT_EQ(Infer(std::move(request)).Await()->tokens, 8);
}

TEST_F(ServableTest, InvalidRequestsAreAnsweredAtOnceAndLeaveNothingBehind) {
  Start();
  control_->Hold();
  const PendingAnswer unknown_input = Infer(Request({Int64Tensor("ids", {1, 1}, {1})}));
  EXPECT_EQ(unknown_input.times(), 1);
  EXPECT_EQ(unknown_input.refusal(), RefusalReason::kInvalid);
  auto request = Ids({1});
  request->output_names = {"logits"};
  EXPECT_THAT(Infer(std::move(request)).Await(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'logits'")));
  EXPECT_THAT(Infer(Ids({2000})).Await(), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_EQ(observer_.inflight(), 0);
  control_->Release();
}

TEST_F(ServableTest, RepliesThatAreTooLargeAreRefused) {
  ServableParts parts = FakeParts("m", "1", control_);
  parts.outputs.max_reply_bytes = 40;
  Start(std::move(parts));
  EXPECT_OK(Infer(Ids({1, 1, 1, 1})).Await());
  EXPECT_THAT(Infer(Ids({1, 1, 1, 1, 1})).Await(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_reply_bytes")));
  EXPECT_EQ(observer_.depth().requests, 0);
}

TEST_F(ServableTest, ExpiredAndCancelledRequestsAreNotAdmitted) {
  Start();
  auto expired = Ids({1});
  expired->deadline = clock_.Now();
  const PendingAnswer late = Infer(std::move(expired));
  EXPECT_THAT(late.Await(), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_EQ(late.refusal(), RefusalReason::kDeadline);
  auto cancelled = Texts({"a"});
  cancelled->cancellation->Cancel();
  EXPECT_THAT(Infer(std::move(cancelled)).Await(), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_TRUE(control_->runs().empty());
}

TEST_F(ServableTest, TheTightestOfQueueTimeoutAndTheCallersDeadlineCounts) {
  ServableParts parts = FakeParts("m", "1", control_);
  parts.description.limits.queue_timeout_us = 5000;
  Start(std::move(parts));
  const PendingAnswer running = KeepBusy();
  const auto infer = [this](std::optional<std::chrono::milliseconds> deadline) {
    auto request = Ids({2});
    request->arrival = clock_.Now();
    if (deadline) request->deadline = clock_.Now() + *deadline;
    return Infer(std::move(request));
  };
  const PendingAnswer none = infer(std::nullopt);
  const PendingAnswer sooner = infer(std::chrono::milliseconds(3));
  const PendingAnswer later = infer(std::chrono::milliseconds(60));
  clock_.Advance(std::chrono::milliseconds(3));
  EXPECT_THAT(sooner.Await(), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_EQ(none.times() + later.times(), 0);
  clock_.Advance(std::chrono::milliseconds(2));
  EXPECT_THAT(none.Await(), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_THAT(later.Await(), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_EQ(later.refusal(), RefusalReason::kDeadline);
  EXPECT_EQ(control_->runs().size(), 1u);
  control_->Release();
  EXPECT_OK(running.Await());
}

TEST_F(ServableTest, AFullQueueSaysWhenThereMayBeRoom) {
  ServableParts parts = FakeParts("m", "1", control_);
  parts.description.limits.max_queue_requests = 1;
  parts.times.Record(1, std::chrono::milliseconds(70));
  Start(std::move(parts));
  const PendingAnswer running = KeepBusy();
  const PendingAnswer waiting = Infer(Ids({2}));
  const PendingAnswer refused = Infer(Ids({3}));
  EXPECT_EQ(RetryHint(refused.Await().status()), std::chrono::milliseconds(70));
  control_->Release();
  EXPECT_OK(waiting.Await());
}

TEST_F(ServableTest, AFullQueueRefusesIdsAndTextsAlike) {
  ServableParts parts = FakeParts("m", "1", control_);
  parts.description.limits.max_queue_requests = 2;
  Start(std::move(parts));
  const PendingAnswer running = KeepBusy();
  const PendingAnswer a = Infer(Ids({2})), b = Infer(Texts({"a"}));
  const PendingAnswer ids = Infer(Ids({3})), text = Infer(Texts({"b"}));
  EXPECT_THAT(ids.Await(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_queue_requests")));
  EXPECT_EQ(ids.refusal(), RefusalReason::kQueueRequests);
  EXPECT_EQ(text.refusal(), RefusalReason::kQueueRequests);
  control_->Release();
  EXPECT_OK(running.Await());
  EXPECT_OK(a.Await());
  EXPECT_OK(b.Await());
}

TEST_F(ServableTest, TokensOfATextCountOnceTheyAreKnown) {
  ServableParts parts = FakeParts("m", "1", control_);
  parts.description.limits.max_queue_tokens = 10;
  Start(std::move(parts));
  const PendingAnswer running = KeepBusy();
  const PendingAnswer a = Infer(Texts({"123456"}));
  const PendingAnswer b = Infer(Texts({"123456"}));
  EXPECT_THAT(b.Await(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_queue_tokens")));
  EXPECT_EQ(b.refusal(), RefusalReason::kQueueTokens);
  control_->Release();
  EXPECT_OK(a.Await());
}

TEST_F(ServableTest, ScoreBytesGrowWithTheSquareOfTheLength) {
  Start();
  const PendingAnswer running = KeepBusy();
  const PendingAnswer waiting = Infer(Ids({1, 2, 3, 4, 5}));
  EXPECT_EQ(observer_.depth().score_bytes, 2 * 25);
  EXPECT_EQ(observer_.depth().bytes, 5 * 8);
  EXPECT_EQ(observer_.depth().tokens, 5);
  control_->Release();
  EXPECT_OK(waiting.Await());
}

TEST_F(ServableTest, ShutdownAnswersEverythingAndGivesAllTicketsBack) {
  Start();
  const PendingAnswer running = KeepBusy();
  const PendingAnswer ids = Infer(Ids({2})), text = Infer(Texts({"a"}));
  EXPECT_FALSE(servable_->AwaitIdle(clock_.Now()));
  std::thread stopper([this] { servable_->Shutdown(); });
  EXPECT_THAT(ids.Await(), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_THAT(text.Await(), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_EQ(text.refusal(), RefusalReason::kDraining);
  control_->Release();
  stopper.join();
  EXPECT_OK(running.Await());
  EXPECT_TRUE(servable_->AwaitIdle(clock_.Now()));
  EXPECT_THAT(Infer(Ids({3})).Await(), StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_F(ServableTest, MixedTrafficOfManyThreadsGetsEachItsOwnAnswer) {
  Start();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread] {
      for (int i = 0; i < 300; ++i) {
        const int id = thread * 300 + i;
        if (i % 2 == 0) {
          const auto reply = Infer(Ids({id, 1})).Await();
          if (absl::IsResourceExhausted(reply.status())) continue;
          ASSERT_OK(reply);
          EXPECT_THAT(Floats(reply->outputs[1]), ElementsAre(id + 1, 2));
        } else {
          const auto reply = Infer(Texts({std::string(1, 'a' + i % 20)})).Await();
          if (absl::IsResourceExhausted(reply.status())) continue;
          ASSERT_OK(reply);
          EXPECT_THAT(Floats(reply->outputs[0]), ElementsAre('a' + i % 20, 1));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(servable_->AwaitIdle(SteadyClock::time_point::max()));
  EXPECT_EQ(observer_.depth().tokens, 0);
}

}  // namespace
}  // namespace reprise::server::repository
