// The models of a repository, from the first read of their files to the last answer.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/repository/model_repository.h"
#include "server/repository/servable.h"
#include "server/request/clock.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"
#include "server/request/serving_core.h"

namespace reprise::server::repository {

using ServableLoader = std::function<absl::StatusOr<ServableParts>(
    const std::string& model_name, const VersionDirectory& directory,
    const ModelServingOptions& options)>;

struct CoreOptions {
  // Serve the models that load when others fail. Otherwise the first failure ends the server.
  bool keep_going = false;
  // Models that load at the same time. 1 to 64; each may need its memory twice while it loads.
  int load_threads = 1;
};

// In the order of a server's life: construct, StartLoading (once the ports are open), AwaitLoaded,
// serve, StartLameDuck, CloseGate, AwaitIdle, Shutdown. Each step may come early, or be left out.
// Thread-safe, except that StartLoading must return before Shutdown or destruction begins.
class ServingCoreImpl final : public ServingCore {
 public:
  // All models are kLoading from here on. `clock` and `observer` must outlive this.
  ServingCoreImpl(std::vector<ModelDirectory> models, ServableLoader loader, CoreOptions options,
                  Clock& clock, Observer& observer);
  ~ServingCoreImpl() override;  // Shutdown
  ServingCoreImpl(const ServingCoreImpl&) = delete;
  ServingCoreImpl& operator=(const ServingCoreImpl&) = delete;

  // Loads in threads of its own. Requires: called at most once.
  void StartLoading();
  // The outcome of loading: OK when every version is ready; else the first failure, without
  // keep_going as soon as it happens; Cancelled after Shutdown. Nothing when `deadline` comes
  // first.
  std::optional<absl::Status> AwaitLoaded(SteadyClock::time_point deadline);

  void Infer(std::unique_ptr<InferenceRequest> request) override;
  bool Ready() const override;
  absl::StatusOr<bool> ModelReady(const std::string& name,
                                  const std::string& version) const override;
  absl::StatusOr<ModelDescription> Describe(const std::string& name,
                                            const std::string& version) const override;
  std::vector<ModelIndexEntry> Index() const override;

  void StartLameDuck();  // Ready turns false; everything is still served
  void CloseGate();      // new inferences get Unavailable; batches no longer wait for company
  bool AwaitIdle(SteadyClock::time_point deadline);  // whether nothing is in flight by then
  // Answers what waits with Unavailable, finishes what runs, ends all threads; a load that has
  // begun is finished first. Idempotent.
  void Shutdown();
  // Whether every scheduler was seen at work within the last 30 s.
  bool Alive() const;

 private:
  struct Version {
    ModelState state = ModelState::kLoading;
    std::string reason;                  // why it is not ready
    std::shared_ptr<Servable> servable;  // when ready
  };
  using Versions = std::map<std::int64_t, Version>;
  using ServablePtr = std::shared_ptr<Servable>;

  void LoadModels();
  void LoadVersion(const ModelDirectory& model, const VersionDirectory& directory);
  void OnLoaded(const std::string& model, std::int64_t version, ServablePtr servable,
                std::chrono::nanoseconds load_time);
  void OnLoadFailed(const std::string& model, std::int64_t version, absl::Status status);
  absl::StatusOr<const Versions*> FindModelLocked(const std::string& name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<ServablePtr> FindLocked(const std::string& name, const std::string& version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<ServablePtr> Servables() const;

  const std::vector<ModelDirectory> directories_;
  const ServableLoader loader_;
  const CoreOptions options_;
  Clock& clock_;
  Observer& observer_;
  std::atomic<std::size_t> next_to_load_ = 0;
  std::atomic<bool> gate_closed_ = false;
  std::atomic<bool> lame_duck_ = false;

  mutable Mutex mutex_;
  std::condition_variable loaded_;
  std::map<std::string, Versions> models_ ABSL_GUARDED_BY(mutex_);
  std::size_t still_loading_ ABSL_GUARDED_BY(mutex_) = 0;  // versions
  absl::Status first_failure_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> load_threads_;  // joined by the first Shutdown
};

}  // namespace reprise::server::repository
