// A core over folders that exist only here, with a loader that fails or waits as a test says.
#pragma once

#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/repository/golden_gate.h"
#include "server/repository/serving_core_impl.h"
#include "tests/server/fakes/answer.h"
#include "tests/server/fakes/fake_clock.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/server/fakes/fake_servable.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"

namespace reprise::server::repository {

using ::reprise::server::testing::FakeClock;
using ::reprise::server::testing::FakeObserver;
using ::reprise::server::testing::FakeParts;
using ::reprise::server::testing::Int64Tensor;
using ::reprise::server::testing::PendingAnswer;
using ::reprise::server::testing::RunnerControl;

inline constexpr SteadyClock::time_point kForever = SteadyClock::time_point::max();

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

inline ModelDirectory Model(std::string name, std::vector<VersionDirectory> versions) {
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

}  // namespace reprise::server::repository
