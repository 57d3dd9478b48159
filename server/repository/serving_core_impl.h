// The models of a repository, from the first read of their files to the last answer.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/repository/model_repository.h"
#include "server/repository/model_table.h"
#include "server/repository/model_tasks.h"
#include "server/repository/servable.h"
#include "server/request/clock.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"
#include "server/request/serving_core.h"

namespace reprise::server::repository {

// Cancelled soon after `stop` was requested.
using ServableLoader = std::function<absl::StatusOr<ServableParts>(
    const std::string& model_name, const VersionDirectory& directory,
    const ModelServingOptions& options, const std::stop_token& stop)>;

// Where a core looks for models after its start; see model_repository.h. Without `names` the index
// knows only models that were loaded; without `find` no calls are taken that load models.
struct ModelSource {
  std::function<absl::StatusOr<ModelDirectory>(const std::string& name,
                                               const std::optional<std::string>& policy)>
      find;
  std::function<std::vector<std::string>()> names;
};

enum class ModelControl { kNone, kExplicit };
absl::StatusOr<ModelControl> ParseModelControl(std::string_view text);  // none explicit

struct CoreOptions {
  // kNone: all models of the repository are loaded at start, calls that load or unload one are
  // Unavailable. kExplicit: those of load_models at start, the others by calls.
  ModelControl control = ModelControl::kNone;
  // For kExplicit. "*" stands for all; nothing by default.
  std::vector<std::string> load_models{};
  // Serve the models that load when others fail. Otherwise the first failure ends the server.
  bool keep_going = false;
  // Models that load at the same time. 1 to 64; each may need its memory twice while it loads.
  int load_threads = 1;
};

// InvalidArgument for load_models without kExplicit.
absl::Status Validate(const CoreOptions& options);

// The models to load at start. Errors as FindModels and FindModel.
absl::StatusOr<std::vector<ModelDirectory>> ModelsAtStart(const CoreOptions& options,
                                                          const RepositoryOptions& repository);

// In the order of a server's life: construct, StartLoading (once the ports are open), AwaitLoaded,
// serve, StartLameDuck, StopLoading, CloseGate, AwaitIdle, Shutdown. Each step may come early, or
// be left out. Thread-safe, except that StartLoading must return before Shutdown or destruction
// begins.
class ServingCoreImpl final : public ServingCore {
 public:
  // `at_start` are kLoading from here on. `clock` and `observer` must outlive this.
  ServingCoreImpl(std::vector<ModelDirectory> at_start, ModelSource source, ServableLoader loader,
                  CoreOptions options, Clock& clock, Observer& observer);
  ~ServingCoreImpl() override;  // Shutdown
  ServingCoreImpl(const ServingCoreImpl&) = delete;
  ServingCoreImpl& operator=(const ServingCoreImpl&) = delete;

  // Loads in threads of its own. Requires: called at most once.
  void StartLoading();
  // The outcome of loading what was configured at start: OK when every version is ready; else the
  // first failure, without keep_going as soon as it happens; Cancelled after StopLoading. Nothing
  // when `deadline` comes first.
  std::optional<absl::Status> AwaitLoaded(SteadyClock::time_point deadline);

  void Infer(std::unique_ptr<InferenceRequest> request) override;
  bool Ready() const override;
  absl::StatusOr<bool> ModelReady(const std::string& name,
                                  const std::string& version) const override;
  absl::StatusOr<ModelDescription> Describe(const std::string& name,
                                            const std::string& version) const override;
  std::vector<ModelIndexEntry> Index() const override;
  void LoadModel(const std::string& name, const ControlParameters& parameters,
                 ControlCallback done) override;
  void UnloadModel(const std::string& name, const ControlParameters& parameters,
                   ControlCallback done) override;

  void StartLameDuck();  // Ready turns false; everything is still served
  void StopLoading();    // loads under way end soon, no other begins
  void CloseGate();      // new inferences get Unavailable; batches no longer wait for company
  bool AwaitIdle(SteadyClock::time_point deadline);  // whether nothing is in flight by then
  // StopLoading; answers what waits with Unavailable, finishes what runs, ends all threads.
  // Idempotent.
  void Shutdown();
  // Whether every scheduler was seen at work within the last 30 s.
  bool Alive() const;

 private:
  // At start a version that loads is put into service even if another one of its model fails.
  enum class When { kAtStart, kLater };

  absl::Status CheckControl(const std::string& name) const;
  void Enqueue(const std::string& name, ModelTasks::Kind kind, ControlCallback done,
               std::function<absl::Status()> work);
  absl::Status FindAndLoad(const std::string& name, const std::optional<std::string>& policy);
  absl::Status Load(const ModelDirectory& model, When when);
  absl::StatusOr<ModelTable::InService> LoadVersion(const ModelDirectory& model,
                                                    const VersionDirectory& directory);
  void Fail(const std::string& model, std::int64_t version, const absl::Status& status);
  void Withdraw(const std::string& name, const ModelTable::Loaded& loaded);
  absl::Status Unload(const std::string& name);
  void Retire(const std::string& name, std::vector<ModelTable::Retired> retired);

  const std::vector<ModelDirectory> at_start_;
  const ModelSource source_;
  const ServableLoader loader_;
  const CoreOptions options_;
  Clock& clock_;
  Observer& observer_;
  std::atomic<bool> gate_closed_ = false;
  std::atomic<bool> lame_duck_ = false;
  std::stop_source stop_;
  std::atomic<int> control_calls_ = 0;  // not yet answered

  mutable Mutex mutex_;
  std::condition_variable loaded_;
  std::size_t still_loading_ ABSL_GUARDED_BY(mutex_) = 0;      // models of the start
  std::set<std::string> never_ready_ ABSL_GUARDED_BY(mutex_);  // models of the start
  absl::Status first_failure_ ABSL_GUARDED_BY(mutex_);         // of the start
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;

  ModelTable table_;
  ModelTasks tasks_;  // last: its threads use everything above
};

}  // namespace reprise::server::repository
