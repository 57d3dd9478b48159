#include "server/repository/serving_core_impl.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/device_health.h"
#include "server/repository/control_parameters.h"
#include "server/repository/golden_gate.h"
#include "server/request/guarded.h"

namespace reprise::server::repository {
namespace {

constexpr std::chrono::seconds kStuckAfter{30};

absl::Status Stopping() {
  return absl::UnavailableError("the server is stopping: it loads and unloads nothing more");
}

// A failure as the caller of a load sees it.
absl::Status DidNotLoad(const std::string& model, std::int64_t version,
                        const absl::Status& status) {
  return absl::FailedPreconditionError(
      absl::StrCat("model '", model, "' version ", version, " did not load: ", status.message()));
}

}  // namespace

absl::StatusOr<ModelControl> ParseModelControl(std::string_view text) {
  if (text == "none") return ModelControl::kNone;
  if (text == "explicit") return ModelControl::kExplicit;
  return absl::InvalidArgumentError(
      absl::StrCat("model control is '", std::string(text), "'; expected none, explicit"));
}

absl::Status Validate(const CoreOptions& options) {
  if (options.control == ModelControl::kExplicit || options.load_models.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--load-model '", options.load_models.front(),
                   "' needs --model-control explicit: with none every model is loaded"));
}

absl::StatusOr<std::vector<ModelDirectory>> ModelsAtStart(const CoreOptions& options,
                                                          const RepositoryOptions& repository) {
  const std::vector<std::string>& names = options.load_models;
  if (options.control == ModelControl::kNone ||
      std::find(names.begin(), names.end(), "*") != names.end()) {
    return FindModels(repository);
  }
  std::vector<ModelDirectory> models;
  for (const std::string& name : std::set<std::string>(names.begin(), names.end())) {
    REPRISE_ASSIGN_OR_RETURN(models.emplace_back(), FindModel(repository, name));
  }
  return models;
}

ServingCoreImpl::ServingCoreImpl(std::vector<ModelDirectory> at_start, ModelSource source,
                                 ServableLoader loader, CoreOptions options, Clock& clock,
                                 Observer& observer)
    : at_start_(std::move(at_start)),
      source_(std::move(source)),
      loader_(std::move(loader)),
      options_(options),
      clock_(clock),
      observer_(observer),
      table_(observer),
      tasks_(options.load_threads) {
  for (const ModelDirectory& model : at_start_) {
    for (const VersionDirectory& directory : model.versions) {
      table_.SetLoading(model.name, directory.version);
    }
  }
  MutexLock lock(mutex_);
  still_loading_ = at_start_.size();
  for (const ModelDirectory& model : at_start_) never_ready_.insert(model.name);
}

ServingCoreImpl::~ServingCoreImpl() { Shutdown(); }

void ServingCoreImpl::StartLoading() {
  for (const ModelDirectory& model : at_start_) {
    tasks_.Add(model.name, ModelTasks::Kind::kLoad, [this, &model] {
      if (!stop_.stop_requested()) (void)Load(model, When::kAtStart);
      MutexLock lock(mutex_);
      --still_loading_;
      loaded_.notify_all();
    });
  }
}

std::optional<absl::Status> ServingCoreImpl::AwaitLoaded(SteadyClock::time_point deadline) {
  MutexLock lock(mutex_);
  while (true) {
    if (stop_.stop_requested()) {
      return absl::CancelledError("the server was stopped while it loaded");
    }
    const bool failed = !first_failure_.ok();
    if (still_loading_ == 0 || (failed && !options_.keep_going)) return first_failure_;
    if (clock_.Now() >= deadline) return std::nullopt;
    clock_.WaitUntil(loaded_, lock, deadline);
  }
}

absl::Status ServingCoreImpl::Load(const ModelDirectory& model, When when) {
  ModelTable::Loaded loaded;
  std::set<std::int64_t> wanted;
  absl::Status failure;
  for (const VersionDirectory& directory : model.versions) {
    wanted.insert(directory.version);
    if (table_.Serves(model.name, directory, model.options)) continue;
    if (!failure.ok() && when == When::kLater) continue;
    absl::StatusOr<ModelTable::InService> served = LoadVersion(model, directory);
    if (stop_.stop_requested()) return Stopping();
    if (served.ok()) {
      loaded[directory.version] = *std::move(served);
      continue;
    }
    Fail(model.name, directory.version, served.status());
    absl::Status status = DidNotLoad(model.name, directory.version, served.status());
    if (when == When::kAtStart) {
      MutexLock lock(mutex_);
      if (first_failure_.ok()) first_failure_ = status;
      loaded_.notify_all();
    }
    if (failure.ok()) failure = std::move(status);
  }
  if (!failure.ok() && when == When::kLater) {
    Withdraw(model.name, loaded);
    return failure;
  }
  Retire(model.name, table_.Switch(model.name, loaded, wanted));
  if (failure.ok()) {
    MutexLock lock(mutex_);
    never_ready_.erase(model.name);
  }
  return failure;
}

absl::StatusOr<ModelTable::InService> ServingCoreImpl::LoadVersion(
    const ModelDirectory& model, const VersionDirectory& directory) {
  table_.SetLoading(model.name, directory.version);
  const SteadyClock::time_point start = clock_.Now();
  absl::StatusOr<ServableParts> parts = Guarded("the model", [&] {
    return loader_(model.name, directory, model.options, stop_.get_token());
  });
  REPRISE_RETURN_IF_ERROR(parts.status());
  auto servable = std::make_unique<Servable>(*std::move(parts), clock_, observer_);
  return std::make_shared<VersionInService>(std::move(servable), directory, model.options,
                                            clock_.Now() - start);
}

void ServingCoreImpl::Fail(const std::string& model, std::int64_t version,
                           const absl::Status& status) {
  if (IsGoldenMismatch(status)) observer_.OnGoldenMismatch(model, absl::StrCat(version));
  table_.SetFailed(model, version, std::string(status.message()));
}

void ServingCoreImpl::Withdraw(const std::string& name, const ModelTable::Loaded& loaded) {
  for (const auto& [version, unused] : loaded) {
    table_.SetFailed(name, version,
                     "loaded, and not put into service: another version of the model failed");
  }
}

absl::Status ServingCoreImpl::CheckControl(const std::string& name) const {
  if (options_.control == ModelControl::kNone || !source_.find) {
    return absl::UnavailableError(
        "this server loads and unloads no models at run time: it was started with "
        "--model-control none; start it with --model-control explicit");
  }
  if (stop_.stop_requested()) return Stopping();
  return CheckModelName(name);
}

// Answers `done` with what `work` says, after all that was asked for this model before.
void ServingCoreImpl::Enqueue(const std::string& name, ModelTasks::Kind kind, ControlCallback done,
                              std::function<absl::Status()> work) {
  constexpr int kMost = 1024;  // nobody asks for that many on purpose
  if (control_calls_.fetch_add(1) >= kMost) {
    control_calls_.fetch_sub(1);
    return done(absl::ResourceExhaustedError(
        absl::StrCat(kMost, " calls that load or unload models wait already; try later")));
  }
  ModelTasks::Task task = [this, done, work = std::move(work)] {
    const absl::Status status = stop_.stop_requested() ? Stopping() : work();
    control_calls_.fetch_sub(1);
    done(status);
  };
  {
    MutexLock lock(mutex_);
    if (!shut_down_) return tasks_.Add(name, kind, std::move(task));
  }
  task();  // which finds that the server stops
}

void ServingCoreImpl::LoadModel(const std::string& name, const ControlParameters& parameters,
                                ControlCallback done) {
  if (absl::Status refused = CheckControl(name); !refused.ok()) return done(std::move(refused));
  absl::StatusOr<std::optional<std::string>> policy = ReadLoadParameters(parameters);
  if (!policy.ok()) return done(policy.status());
  Enqueue(name, ModelTasks::Kind::kLoad, std::move(done),
          [this, name, policy = *std::move(policy)] { return FindAndLoad(name, policy); });
}

absl::Status ServingCoreImpl::FindAndLoad(const std::string& name,
                                          const std::optional<std::string>& policy) {
  const absl::StatusOr<ModelDirectory> model = source_.find(name, policy);
  if (model.ok()) return Load(*model, When::kLater);
  // What the caller got wrong is the caller's to know; what is wrong on disk shows in the index.
  if (absl::IsFailedPrecondition(model.status())) {
    table_.SetFailed(name, std::string(model.status().message()));
  }
  return model.status();
}

void ServingCoreImpl::UnloadModel(const std::string& name, const ControlParameters& parameters,
                                  ControlCallback done) {
  if (absl::Status refused = CheckControl(name); !refused.ok()) return done(std::move(refused));
  if (absl::Status bad = CheckUnloadParameters(parameters); !bad.ok()) return done(std::move(bad));
  Enqueue(name, ModelTasks::Kind::kUnload, std::move(done), [this, name] { return Unload(name); });
}

absl::Status ServingCoreImpl::Unload(const std::string& name) {
  std::vector<ModelTable::Retired> retired = table_.Switch(name, {}, {});
  if (retired.empty()) {
    return absl::NotFoundError(absl::StrCat("model '", name, "' is not loaded"));
  }
  for (ModelTable::Retired& each : retired) {
    each.served->Retire();
    table_.SetGone(name, std::move(each));
  }
  return absl::OkStatus();
}

// In a task of its own: whoever waits for the load need not wait for the last answer of what it
// replaced, and other models may load meanwhile.
void ServingCoreImpl::Retire(const std::string& name, std::vector<ModelTable::Retired> retired) {
  if (retired.empty()) return;
  tasks_.AddNext(name, ModelTasks::Kind::kUnload,
                 [this, name, retired = std::move(retired)]() mutable {
                   for (ModelTable::Retired& each : retired) {
                     each.served->Retire();
                     table_.SetGone(name, std::move(each));
                   }
                 });
}

void ServingCoreImpl::Infer(std::unique_ptr<InferenceRequest> request) {
  if (gate_closed_.load()) {
    request->done(absl::UnavailableError("the server is draining: it takes no new requests"),
                  RefusalReason::kDraining);
    return;
  }
  const absl::StatusOr<std::shared_ptr<Servable>> servable =
      table_.Find(request->model_name, request->model_version);
  if (!servable.ok()) {
    const bool invalid = absl::IsInvalidArgument(servable.status());
    request->done(servable.status(), invalid ? RefusalReason::kInvalid : RefusalReason::kNone);
    return;
  }
  (*servable)->Infer(std::move(request));
}

bool ServingCoreImpl::Ready() const {
  MutexLock lock(mutex_);
  return !lame_duck_ && !shut_down_ && never_ready_.empty() && !engine::DeviceIsLost();
}

absl::StatusOr<bool> ServingCoreImpl::ModelReady(const std::string& name,
                                                 const std::string& version) const {
  return table_.Ready(name, version);
}

absl::StatusOr<ModelDescription> ServingCoreImpl::Describe(const std::string& name,
                                                           const std::string& version) const {
  return table_.Describe(name, version);
}

std::vector<ModelIndexEntry> ServingCoreImpl::Index() const {
  return table_.Index(source_.names ? source_.names() : std::vector<std::string>());
}

void ServingCoreImpl::StartLameDuck() {
  if (!lame_duck_.exchange(true)) observer_.OnDraining();
}

void ServingCoreImpl::StopLoading() {
  stop_.request_stop();
  MutexLock lock(mutex_);
  loaded_.notify_all();
}

void ServingCoreImpl::CloseGate() {
  StartLameDuck();
  gate_closed_ = true;
  for (const ModelTable::InService& served : table_.Active()) served->servable().Flush();
}

bool ServingCoreImpl::AwaitIdle(SteadyClock::time_point deadline) {
  const std::vector<ModelTable::InService> active = table_.Active();
  return std::all_of(active.begin(), active.end(), [deadline](const auto& served) {
    return served->servable().AwaitIdle(deadline);
  });
}

void ServingCoreImpl::Shutdown() {
  gate_closed_ = true;
  StopLoading();
  {
    MutexLock lock(mutex_);
    if (shut_down_) return;
    shut_down_ = true;
  }
  // First what answers now, so that nothing that retires waits for it; then what a load put into
  // service in its last moment.
  for (const ModelTable::InService& served : table_.Active()) served->servable().Shutdown();
  tasks_.Join();
  for (const ModelTable::InService& served : table_.Active()) served->servable().Shutdown();
}

bool ServingCoreImpl::Alive() const {
  const SteadyClock::time_point now = clock_.Now();
  const std::vector<ModelTable::InService> active = table_.Active();
  return std::all_of(active.begin(), active.end(), [now](const auto& served) {
    return now - served->servable().heartbeat() <= kStuckAfter;
  });
}

}  // namespace reprise::server::repository
