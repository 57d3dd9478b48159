// Models that come, go and are replaced while the core serves.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/repository/serving_core_impl.h"
#include "tests/server/repository/serving_core_fixture.h"

namespace reprise::server::repository {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ServingCoreImplTest, WithoutControlEveryCallIsRefusedWithTheFlagThatAllowsIt) {
  Start({Model("m", {{1, "ok"}})});
  for (const PendingControl& refused : {Load("m"), Unload("m"), Load("../m")}) {
    EXPECT_THAT(refused.Await(),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--model-control explicit")));
  }
}

TEST_F(ServingCoreImplTest, RefusesNamesAndParametersThatCannotBe) {
  Start({}, kExplicit);
  for (const char* name : {"", "..", "../m", "a/b", "/etc", "a b", ".hidden", "liveness", "a\\b"}) {
    EXPECT_THAT(Load(name).Await(), StatusIs(absl::StatusCode::kInvalidArgument, _)) << name;
    EXPECT_THAT(Unload(name).Await(), StatusIs(absl::StatusCode::kInvalidArgument, _)) << name;
  }
  EXPECT_THAT(Load("m", {{"file:1/model.safetensors", std::string("abc")}}).Await(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("file:1/model.safetensors")));
  EXPECT_THAT(Load("m", {{"confg", std::string("{}")}}).Await(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'confg'")));
  EXPECT_THAT(Load("m", {{"config", true}}).Await(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model.json")));
  EXPECT_THAT(Unload("m", {{"unload_dependents", std::int64_t{1}}}).Await(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bool")));
  EXPECT_THAT(Load("m").Await(), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(Unload("m", {{"unload_dependents", true}}).Await(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'m' is not loaded")));
  EXPECT_EQ(Index(), "");
}

TEST_F(ServingCoreImplTest, LoadsAndUnloadsWithoutChangingWhetherTheServerIsReady) {
  Start({}, kExplicit);
  EXPECT_OK(core_->AwaitLoaded(kForever).value());
  repository_.Put(Model("m", {{1, "ok"}}), "m");
  EXPECT_TRUE(core_->Ready());
  EXPECT_EQ(Index(), "m/ UNAVAILABLE not loaded\n");
  EXPECT_THAT(core_->ModelReady("m", ""), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_OK(Load("m").Await());
  EXPECT_EQ(Index(), "m/1 READY \n");
  EXPECT_OK(Infer("m").Await());
  EXPECT_OK(Unload("m").Await());
  EXPECT_EQ(Index(), "m/1 UNAVAILABLE unloaded\n");
  EXPECT_FALSE(core_->ModelReady("m", "").value());
  EXPECT_THAT(Infer("m", "1").Await(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("unloaded")));
  EXPECT_THAT(Unload("m").Await(), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_OK(Load("m").Await());
  EXPECT_OK(Infer("m").Await());
  EXPECT_TRUE(core_->Ready());
  EXPECT_THAT(observer_.states("m/1"),
              ElementsAre(ModelState::kLoading, ModelState::kReady, ModelState::kUnloading,
                          ModelState::kUnavailable, ModelState::kLoading, ModelState::kReady));
}

TEST_F(ServingCoreImplTest, TheOldVersionServesUntilTheNewOneIsReadyAndThenFinishesWhatItHas) {
  StartWithMHeld();
  const PendingAnswer running = Infer("m");
  loader_.control->AwaitRuns(1);
  const PendingAnswer waiting = Infer("m");

  loader_.Shut(true);
  repository_.Put(Model("m", {{2, "ok"}}), "m");
  const PendingControl load = Load("m");
  loader_.AwaitStarted(2);
  const PendingAnswer meanwhile = Infer("m");
  EXPECT_EQ(Index(), "m/1 READY \nm/2 LOADING loading\n");
  EXPECT_FALSE(load.answered());

  loader_.Shut(false);
  EXPECT_OK(load.Await());  // though version 1 still has work
  EXPECT_EQ(Index(), "m/1 UNLOADING unloading\nm/2 READY \n");
  const PendingAnswer later = Infer("m");
  EXPECT_THAT(Infer("m", "1").Await(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("unloading")));
  loader_.control->Release();
  for (const PendingAnswer& old : {running, waiting, meanwhile}) {
    ASSERT_OK(old.Await());
    EXPECT_EQ(old.Await()->model_version, "1");
  }
  EXPECT_EQ(later.Await()->model_version, "2");
  EXPECT_OK(Load("m").Await());  // after the drain, as all that is asked for one model
  EXPECT_EQ(Index(), "m/1 UNAVAILABLE unloaded\nm/2 READY \n");
}

TEST_F(ServingCoreImplTest, AChangedVersionIsReplacedAndAnUnchangedOneIsLeft) {
  Start({Model("m", {{1, "ok", "old"}, {2, "ok", "old"}})}, kExplicit);
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  EXPECT_OK(Load("m").Await());
  EXPECT_THAT(loader_.started(), ElementsAre("m/1", "m/2"));
  repository_.Put(Model("m", {{1, "ok", "old"}, {2, "ok", "new"}}), "m");
  EXPECT_OK(Load("m").Await());
  EXPECT_THAT(loader_.started(), ElementsAre("m/1", "m/2", "m/2"));
  EXPECT_OK(Load("m", {{"config", std::string("other")}}).Await());
  EXPECT_THAT(loader_.started(), ElementsAre("m/1", "m/2", "m/2", "m/1", "m/2"));
  EXPECT_EQ(Index(), "m/1 READY \nm/2 READY \n");
}

TEST_F(ServingCoreImplTest, AFailedReloadLeavesTheOldInServiceAndSaysWhy) {
  Start({Model("m", {{1, "ok", "old"}})}, kExplicit);
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  repository_.Put(Model("m", {{1, "bad", "new"}}), "m");
  EXPECT_THAT(Load("m").Await(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                          AllOf(HasSubstr("'m' version 1"), HasSubstr("torn"))));
  EXPECT_EQ(Index(), "m/1 READY config.json is torn\n");
  EXPECT_OK(Infer("m").Await());
  EXPECT_TRUE(core_->ModelReady("m", "1").value());
  EXPECT_THAT(observer_.states("m/1"),
              ElementsAre(ModelState::kLoading, ModelState::kReady, ModelState::kReady));

  repository_.Put(absl::FailedPreconditionError("model.json is torn"), "m");
  EXPECT_THAT(Load("m").Await(), StatusIs(absl::StatusCode::kFailedPrecondition, _));
  EXPECT_EQ(Index(), "m/1 READY model.json is torn\n");

  repository_.Put(Model("m", {{1, "ok", "newer"}}), "m");
  EXPECT_OK(Load("m").Await());
  EXPECT_EQ(Index(), "m/1 READY \n");
}

TEST_F(ServingCoreImplTest, VersionsOfOneLoadGoIntoServiceTogetherOrNotAtAll) {
  Start({Model("m", {{1, "ok"}})}, kExplicit);
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  repository_.Put(Model("m", {{2, "ok"}, {3, "bad"}}), "m");
  EXPECT_FALSE(Load("m").Await().ok());
  EXPECT_EQ(Infer("m").Await()->model_version, "1");
  EXPECT_THAT(Index(), HasSubstr("m/1 READY \nm/2 UNAVAILABLE loaded, and not put into service"));
  EXPECT_THAT(Index(), HasSubstr("m/3 UNAVAILABLE config.json is torn\n"));
  // What failed is forgotten once nobody wants it.
  repository_.Put(Model("m", {{1, "ok"}}), "m");
  EXPECT_OK(Load("m").Await());
  EXPECT_EQ(Index(), "m/1 READY \n");
}

TEST_F(ServingCoreImplTest, AVersionThatMissesItsGoldenSamplesIsCountedAndNotServed) {
  Start({Model("m", {{1, "ok"}})}, kExplicit);
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  repository_.Put(Model("m", {{2, "golden"}}), "m");
  EXPECT_THAT(Load("m").Await(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("sample 0 differs")));
  EXPECT_EQ(Infer("m").Await()->model_version, "1");
  EXPECT_THAT(observer_.golden_mismatches(), ElementsAre("m/2"));
}

TEST_F(ServingCoreImplTest, AModelTooLargeForTheMachineIsAFailedLoad) {
  Start({}, kExplicit);
  repository_.Put(Model("m", {{1, "huge"}}), "m");
  EXPECT_THAT(Load("m").Await(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("memory")));
}

TEST_F(ServingCoreImplTest, UnloadFinishesWhatWasAskedBefore) {
  StartWithMHeld();
  const PendingAnswer running = Infer("m");
  loader_.control->AwaitRuns(1);
  const PendingAnswer waiting = Infer("m");
  const PendingControl unload = Unload("m");
  while (core_->ModelReady("m", "").value()) std::this_thread::yield();
  EXPECT_EQ(Index(), "m/1 UNLOADING unloading\n");
  EXPECT_FALSE(Infer("m").Await().ok());
  EXPECT_FALSE(unload.answered());
  loader_.control->Release();
  EXPECT_OK(unload.Await());
  EXPECT_OK(running.Await());
  EXPECT_OK(waiting.Await());
}

TEST_F(ServingCoreImplTest, LoadsOfOneModelTakeEffectInTheirOrder) {
  Start({}, kExplicit);
  loader_.Shut(true);
  repository_.Put(Model("m", {{1, "ok"}}), "m");
  const PendingControl first = Load("m");
  loader_.AwaitStarted(1);
  repository_.Put(Model("m", {{2, "ok"}}), "m");
  const PendingControl second = Load("m");
  const PendingControl third = Unload("m");
  const PendingControl fourth = Load("m");
  EXPECT_THAT(loader_.started(), ElementsAre("m/1"));
  loader_.Shut(false);
  for (const PendingControl& each : {first, second, third, fourth}) EXPECT_OK(each.Await());
  EXPECT_THAT(loader_.started(), ElementsAre("m/1", "m/2", "m/2"));
  EXPECT_EQ(Infer("m").Await()->model_version, "2");
}

TEST_F(ServingCoreImplTest, ALoadThatTakesLongHoldsUpNoUnloadOfAnotherModel) {
  Start({Model("a", {{1, "ok"}})}, kExplicit);
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  loader_.Shut(true);
  repository_.Put(Model("b", {{1, "ok"}}), "b");
  const PendingControl load = Load("b");
  loader_.AwaitStarted(2);
  EXPECT_OK(Unload("a").Await());
  EXPECT_FALSE(load.answered());
  loader_.Shut(false);
  EXPECT_OK(load.Await());
}

TEST_F(ServingCoreImplTest, AModelThatFailedAtStartMakesTheServerReadyOnceItLoads) {
  Start({Model("m", {{1, "bad"}})}, {.control = ModelControl::kExplicit, .keep_going = true});
  EXPECT_FALSE(core_->AwaitLoaded(kForever).value().ok());
  EXPECT_FALSE(core_->Ready());
  repository_.Put(Model("m", {{1, "ok"}}), "m");
  EXPECT_OK(Load("m").Await());
  EXPECT_TRUE(core_->Ready());
}

TEST_F(ServingCoreImplTest, AServerThatStopsEndsLoadsAndTakesNoFurther) {
  Start({}, kExplicit);
  loader_.Shut(true);
  repository_.Put(Model("m", {{1, "ok"}}), "m");
  const PendingControl running = Load("m");
  const PendingControl waiting = Unload("m");
  loader_.AwaitStarted(1);
  core_->StopLoading();
  EXPECT_THAT(running.Await(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
  EXPECT_THAT(waiting.Await(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
  EXPECT_THAT(Load("m").Await(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
}

TEST_F(ServingCoreImplTest, ShutdownEndsAnUnloadThatWaitsForRequests) {
  StartWithMHeld();
  const PendingAnswer running = Infer("m");
  loader_.control->AwaitRuns(1);
  const PendingAnswer waiting = Infer("m");
  const PendingControl unload = Unload("m");
  while (core_->ModelReady("m", "").value()) std::this_thread::yield();
  std::thread stopper([this] { core_->Shutdown(); });
  EXPECT_THAT(waiting.Await(), StatusIs(absl::StatusCode::kUnavailable, _));
  loader_.control->Release();
  stopper.join();
  EXPECT_OK(running.Await());
  EXPECT_OK(unload.Await());
}

// Two callers never stop asking while the model is swapped again and again: each of their requests
// is answered by some version, none falls between two.
TEST_F(ServingCoreImplTest, NoRequestIsLostOverManySwaps) {
  Start({Model("m", {{1, "ok"}})}, kExplicit);
  ASSERT_OK(core_->AwaitLoaded(kForever).value());
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&] {
      while (!stop) {
        EXPECT_OK(Infer("m").Await());
        ++answered;
      }
    });
  }
  for (int swap = 2; swap <= 60; ++swap) {
    const std::int64_t version = swap % 3 == 0 ? swap - 1 : swap;  // also over itself
    repository_.Put(Model("m", {{version, "ok", absl::StrCat(swap)}}), "m");
    EXPECT_OK(Load("m").Await());
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(answered, 59);
}

// Whatever comes in whatever order: each call is answered once, and by nothing unexpected.
TEST_F(ServingCoreImplTest, LoadsUnloadsAndRequestsOfManyCallersAllEnd) {
  Start({}, {.control = ModelControl::kExplicit, .load_threads = 2});
  repository_.Put(Model("a", {{1, "ok"}}), "a");
  repository_.Put(Model("b", {{1, "ok"}}), "b");
  std::vector<std::thread> callers;
  for (const std::string model : {"a", "b"}) {
    callers.emplace_back([this, model] {
      for (int i = 0; i < 40; ++i) {
        EXPECT_OK(Load(model).Await());
        EXPECT_OK(Unload(model).Await());
      }
    });
    callers.emplace_back([this, model] {
      for (int i = 0; i < 200; ++i) {
        const auto reply = Infer(model).Await();
        if (reply.ok()) continue;
        EXPECT_TRUE(absl::IsNotFound(reply.status()) || absl::IsUnavailable(reply.status()))
            << reply.status();
        EXPECT_THAT(reply.status().message(), ::testing::Not(HasSubstr("shutting down")));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(Index(), "a/1 UNAVAILABLE unloaded\nb/1 UNAVAILABLE unloaded\n");
}

}  // namespace
}  // namespace reprise::server::repository
