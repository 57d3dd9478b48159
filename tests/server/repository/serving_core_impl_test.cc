#include "server/repository/serving_core_impl.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/repository/serving_core_fixture.h"

namespace reprise::server::repository {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ServingCoreImplTest, IsReadyOnceEveryModelIs) {
  loader_.Shut(true);
  Start({Model("a", {{1, "ok"}}), Model("b", {{1, "ok"}})});
  EXPECT_FALSE(core_->Ready());
  EXPECT_EQ(core_->AwaitLoaded(clock_.Now()), std::nullopt);
  EXPECT_FALSE(core_->ModelReady("a", "").value());
  EXPECT_THAT(Infer("a").Await(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is not at ready state")));
  loader_.Shut(false);
  EXPECT_OK(core_->AwaitLoaded(kForever).value());
  EXPECT_TRUE(core_->Ready());
  EXPECT_TRUE(core_->ModelReady("a", "").value());
  EXPECT_OK(Infer("b").Await());
  EXPECT_THAT(observer_.states("a/1"), ElementsAre(ModelState::kLoading, ModelState::kReady));
}

TEST_F(ServingCoreImplTest, TheLatestReadyVersionAnswersByDefault) {
  Start({Model("m", {{1, "ok"}, {3, "ok"}, {12, "bad"}})}, {.keep_going = true});
  EXPECT_FALSE(core_->AwaitLoaded(kForever).value().ok());
  EXPECT_EQ(Infer("m").Await()->model_version, "3");
  EXPECT_EQ(Infer("m", "1").Await()->model_version, "1");
  const auto description = core_->Describe("m", "");
  ASSERT_OK(description);
  EXPECT_EQ(description->version, "3");
  EXPECT_THAT(description->versions, ElementsAre("1", "3"));
}

TEST_F(ServingCoreImplTest, UnknownNamesAndVersionsSayWhatWasNotFound) {
  Start({Model("m", {{1, "ok"}, {2, "bad"}})}, {.keep_going = true});
  ASSERT_TRUE(core_->AwaitLoaded(kForever).has_value());
  EXPECT_THAT(Infer("x").Await(),
              StatusIs(absl::StatusCode::kNotFound, "Request for unknown model: 'x' is not found"));
  EXPECT_THAT(core_->ModelReady("x", ""), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(core_->Describe("m", "7"),
              StatusIs(absl::StatusCode::kNotFound,
                       "Request for unknown model: 'm' version 7 is not found"));
  EXPECT_THAT(Infer("m", "2").Await(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("is not at ready state"), HasSubstr("torn"))));
  EXPECT_FALSE(core_->ModelReady("m", "2").value());
  for (const char* version : {"v1", "-1", "1.0", " 1", "99999999999999999999"}) {
    const PendingAnswer answer = Infer("m", version);
    EXPECT_THAT(answer.Await(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(version)));
    EXPECT_EQ(answer.refusal(), RefusalReason::kInvalid);
  }
}

TEST_F(ServingCoreImplTest, WithoutKeepGoingTheFirstFailureEndsTheWait) {
  Start({Model("bad", {{1, "bad"}}), Model("good", {{1, "ok"}})});
  EXPECT_THAT(core_->AwaitLoaded(kForever).value(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("model 'bad' version 1"), HasSubstr("torn"))));
  EXPECT_FALSE(core_->Ready());
}

TEST_F(ServingCoreImplTest, WithKeepGoingTheOthersServeAndReadyStaysFalse) {
  Start({Model("bad", {{1, "bad"}}), Model("good", {{1, "ok"}})}, {.keep_going = true});
  EXPECT_FALSE(core_->AwaitLoaded(kForever).value().ok());
  EXPECT_FALSE(core_->Ready());
  EXPECT_OK(Infer("good").Await());
  EXPECT_FALSE(core_->ModelReady("bad", "").value());
  EXPECT_THAT(Infer("bad").Await(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("has no available versions")));
  const std::vector<ModelIndexEntry> index = core_->Index();
  ASSERT_EQ(index.size(), 2u);
  EXPECT_EQ(index[0].state, ModelState::kUnavailable);
  EXPECT_THAT(index[0].reason, HasSubstr("torn"));
  EXPECT_EQ(index[1].state, ModelState::kReady);
  EXPECT_THAT(observer_.states("bad/1"),
              ElementsAre(ModelState::kLoading, ModelState::kUnavailable));
}

TEST_F(ServingCoreImplTest, ModelsLoadAtTheSameTimeWhenAskedTo) {
  loader_.Shut(true);
  Start({Model("a", {{1, "ok"}}), Model("b", {{1, "ok"}})}, {.load_threads = 8});
  loader_.AwaitStarted(2);
  loader_.Shut(false);
  EXPECT_OK(core_->AwaitLoaded(kForever).value());
}

TEST_F(ServingCoreImplTest, LameDuckServesAndIsNotReady) {
  Start({Model("m", {{1, "ok"}})});
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  core_->StartLameDuck();
  core_->StartLameDuck();
  EXPECT_FALSE(core_->Ready());
  EXPECT_TRUE(core_->ModelReady("m", "").value());
  EXPECT_OK(Infer("m").Await());
  EXPECT_EQ(observer_.draining(), 1);
}

TEST_F(ServingCoreImplTest, AClosedGateRefusesTheNewAndFinishesTheOld) {
  Start({Model("m", {{1, "ok"}})});
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  loader_.control->Hold();
  const PendingAnswer old = Infer("m");
  loader_.control->AwaitRuns(1);
  core_->CloseGate();
  const PendingAnswer refused = Infer("m");
  EXPECT_THAT(refused.Await(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  EXPECT_EQ(refused.refusal(), RefusalReason::kDraining);
  EXPECT_FALSE(core_->AwaitIdle(clock_.Now()));
  loader_.control->Release();
  EXPECT_TRUE(core_->AwaitIdle(kForever));
  EXPECT_OK(old.Await());
}

TEST_F(ServingCoreImplTest, ShutdownWhileLoadingBeginsNoFurtherLoad) {
  loader_.Shut(true);
  Start({Model("m", {{1, "ok"}, {2, "ok"}}), Model("n", {{1, "ok"}})});
  loader_.AwaitStarted(1);
  core_->Shutdown();  // without waiting for the gate to open
  EXPECT_THAT(core_->AwaitLoaded(kForever).value(), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_THAT(loader_.started(), ElementsAre("m/1"));
  EXPECT_FALSE(core_->Ready());
  EXPECT_THAT(Infer("m").Await(), StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_F(ServingCoreImplTest, IsAliveWhileItsSchedulersFollowTheClock) {
  Start({Model("m", {{1, "ok"}})});
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  EXPECT_TRUE(core_->Alive());
}

}  // namespace
}  // namespace reprise::server::repository
