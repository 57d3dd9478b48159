#include "server/repository/serving_core_impl.h"

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/repository/golden_gate.h"
#include "tests/server/fakes/answer.h"
#include "tests/server/fakes/fake_clock.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/server/fakes/fake_servable.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"

namespace reprise::server::repository {
namespace {

using ::reprise::server::testing::FakeClock;
using ::reprise::server::testing::FakeObserver;
using ::reprise::server::testing::FakeParts;
using ::reprise::server::testing::Int64Tensor;
using ::reprise::server::testing::PendingAnswer;
using ::reprise::server::testing::RunnerControl;
using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr SteadyClock::time_point kForever = SteadyClock::time_point::max();

// Loads fake models; a path "bad" fails, "golden" answers its samples wrongly, and loading waits
// while the gate is shut, unless it is told to stop.
class FakeLoader {
 public:
  ServableLoader function() {
    return [this](const std::string& model, const VersionDirectory& directory,
                  const ModelServingOptions&,
                  const std::stop_token& stop) -> absl::StatusOr<ServableParts> {
      const std::stop_callback wake(stop, [this] {
        MutexLock lock(mutex_);
        changed_.notify_all();
      });
      MutexLock lock(mutex_);
      started_.push_back(absl::StrCat(model, "/", directory.version));
      changed_.notify_all();
      while (shut_ && !stop.stop_requested()) changed_.wait(lock.native());
      if (stop.stop_requested()) return absl::CancelledError("told to stop");
      if (directory.path == "bad") return absl::InvalidArgumentError("config.json is torn");
      if (directory.path == "golden") return GoldenMismatch("sample 0 differs");
      if (directory.path == "huge") throw std::bad_alloc();
      return FakeParts(model, absl::StrCat(directory.version), control);
    };
  }
  void Shut(bool shut) {
    MutexLock lock(mutex_);
    shut_ = shut;
    changed_.notify_all();
  }
  void AwaitStarted(std::size_t count) {
    MutexLock lock(mutex_);
    while (started_.size() < count) changed_.wait(lock.native());
  }
  std::vector<std::string> started() {
    MutexLock lock(mutex_);
    return started_;
  }

  const std::shared_ptr<RunnerControl> control = std::make_shared<RunnerControl>();

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  bool shut_ = false;
  std::vector<std::string> started_;  // model/version
};

// The folders of a repository. Thread-safe.
class FakeRepository {
 public:
  ModelSource source() {
    return {.find = [this](const std::string& name,
                           const std::optional<std::string>& policy) { return Find(name, policy); },
            .names =
                [this] {
                  MutexLock lock(mutex_);
                  std::vector<std::string> names;
                  for (const auto& [name, unused] : models_) names.push_back(name);
                  return names;
                }};
  }
  void Put(absl::StatusOr<ModelDirectory> model, const std::string& name) {
    MutexLock lock(mutex_);
    models_.insert_or_assign(name, std::move(model));
  }

 private:
  absl::StatusOr<ModelDirectory> Find(const std::string& name,
                                      const std::optional<std::string>& policy) {
    MutexLock lock(mutex_);
    const auto found = models_.find(name);
    if (found == models_.end()) return absl::NotFoundError("no such folder");
    absl::StatusOr<ModelDirectory> model = found->second;
    if (model.ok() && policy.has_value()) model->options.executors = 7;
    return model;
  }

  Mutex mutex_;
  std::map<std::string, absl::StatusOr<ModelDirectory>> models_;
};

// The answer to a LoadModel or UnloadModel.
class PendingControl {
 public:
  ControlCallback callback() const {
    return [promise = promise_](const absl::Status& status) { promise->set_value(status); };
  }
  bool answered() const { return future_.wait_for(std::chrono::seconds(0)) == kThere; }
  // At most ten seconds: then it is DeadlineExceeded.
  absl::Status Await() const {
    if (future_.wait_for(std::chrono::seconds(10)) == kThere) return future_.get();
    return absl::DeadlineExceededError("no answer came");
  }

 private:
  static constexpr std::future_status kThere = std::future_status::ready;
  std::shared_ptr<std::promise<absl::Status>> promise_ =
      std::make_shared<std::promise<absl::Status>>();
  std::shared_future<absl::Status> future_ = promise_->get_future().share();
};

ModelDirectory Model(std::string name, std::vector<VersionDirectory> versions) {
  ModelDirectory model;
  model.name = std::move(name);
  model.versions = std::move(versions);
  return model;
}

class ServingCoreImplTest : public ::testing::Test {
 protected:
  void Create(std::vector<ModelDirectory> models, CoreOptions options = {}) {
    for (const ModelDirectory& model : models) repository_.Put(model, model.name);
    core_ = std::make_unique<ServingCoreImpl>(std::move(models), repository_.source(),
                                              loader_.function(), options, clock_, observer_);
  }
  void Start(std::vector<ModelDirectory> models, CoreOptions options = {}) {
    Create(std::move(models), options);
    core_->StartLoading();
  }

  PendingAnswer Infer(const std::string& model, const std::string& version = "") {
    auto request = std::make_unique<InferenceRequest>();
    request->model_name = model;
    request->model_version = version;
    request->inputs = {Int64Tensor("input_ids", {1, 1}, {5})};
    PendingAnswer answer;
    request->done = answer.callback();
    core_->Infer(std::move(request));
    return answer;
  }

  PendingControl Load(const std::string& model, const ControlParameters& parameters = {}) {
    PendingControl answer;
    core_->LoadModel(model, parameters, answer.callback());
    return answer;
  }
  PendingControl Unload(const std::string& model, const ControlParameters& parameters = {}) {
    PendingControl answer;
    core_->UnloadModel(model, parameters, answer.callback());
    return answer;
  }
  // "name/version STATE reason", one line per entry.
  std::string Index() {
    constexpr const char* kStates[] = {"UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"};
    std::string text;
    for (const ModelIndexEntry& entry : core_->Index()) {
      absl::StrAppend(&text, entry.name, "/", entry.version, " ",
                      kStates[static_cast<int>(entry.state)], " ", entry.reason, "\n");
    }
    return text;
  }
  // With model `m` of one version 1 in service, and a runner that waits.
  void StartWithMHeld() {
    Start({Model("m", {{1, "ok"}})}, kExplicit);
    ASSERT_OK(core_->AwaitLoaded(kForever).value());
    loader_.control->Hold();
  }

  const CoreOptions kExplicit = {.control = ModelControl::kExplicit};
  FakeClock clock_;
  FakeObserver observer_;
  FakeRepository repository_;
  FakeLoader loader_;
  std::unique_ptr<ServingCoreImpl> core_;
};

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
