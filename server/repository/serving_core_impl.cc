#include "server/repository/serving_core_impl.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::repository {
namespace {

constexpr std::chrono::seconds kStuckAfter{30};

absl::StatusOr<std::int64_t> ParseVersion(const std::string& text) {
  std::int64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error == std::errc() && end == text.data() + text.size() && version >= 0) return version;
  return absl::InvalidArgumentError(
      absl::StrCat("model version '", text, "' is not a version; expected an integer >= 0"));
}

absl::Status NotAtReadyState(const std::string& name, std::int64_t version,
                             const std::string& reason) {
  return absl::UnavailableError(absl::StrCat("Request for model: '", name, "' version ", version,
                                             " is not at ready state: ", reason));
}

}  // namespace

ServingCoreImpl::ServingCoreImpl(std::vector<ModelDirectory> models, ServableLoader loader,
                                 CoreOptions options, Clock& clock, Observer& observer)
    : directories_(std::move(models)),
      loader_(std::move(loader)),
      options_(options),
      clock_(clock),
      observer_(observer) {
  REPRISE_CHECK(options_.load_threads >= 1);
  MutexLock lock(mutex_);
  for (const ModelDirectory& model : directories_) {
    for (const VersionDirectory& directory : model.versions) {
      models_[model.name][directory.version] = {ModelState::kLoading, "loading", nullptr};
      ++still_loading_;
      observer_.OnModelState(model.name, absl::StrCat(directory.version), ModelState::kLoading,
                             "loading");
    }
  }
}

ServingCoreImpl::~ServingCoreImpl() { Shutdown(); }

void ServingCoreImpl::StartLoading() {
  const auto useful = std::min<std::size_t>(options_.load_threads, directories_.size());
  for (std::size_t i = 0; i < useful; ++i) load_threads_.emplace_back([this] { LoadModels(); });
}

// The versions of a model load one after another; a server that stops begins no further one.
void ServingCoreImpl::LoadModels() {
  while (true) {
    const std::size_t next = next_to_load_.fetch_add(1);
    if (next >= directories_.size()) return;
    for (const VersionDirectory& directory : directories_[next].versions) {
      {
        MutexLock lock(mutex_);
        if (stopping_) return;
      }
      LoadVersion(directories_[next], directory);
    }
  }
}

void ServingCoreImpl::LoadVersion(const ModelDirectory& model, const VersionDirectory& directory) {
  const SteadyClock::time_point start = clock_.Now();
  absl::StatusOr<ServableParts> parts = loader_(model.name, directory, model.options);
  if (!parts.ok()) {
    OnLoadFailed(model.name, directory.version, parts.status());
    return;
  }
  OnLoaded(model.name, directory.version,
           std::make_shared<Servable>(*std::move(parts), clock_, observer_), clock_.Now() - start);
}

void ServingCoreImpl::OnLoaded(const std::string& model, std::int64_t version, ServablePtr servable,
                               std::chrono::nanoseconds load_time) {
  // Before the state: whoever sees the model ready finds its metrics.
  observer_.OnModelReady(servable->description(), load_time);
  observer_.OnModelState(model, absl::StrCat(version), ModelState::kReady, "");
  MutexLock lock(mutex_);
  models_[model][version] = {ModelState::kReady, "", std::move(servable)};
  --still_loading_;
  loaded_.notify_all();
}

void ServingCoreImpl::OnLoadFailed(const std::string& model, std::int64_t version,
                                   absl::Status status) {
  const std::string reason(status.message());
  observer_.OnModelState(model, absl::StrCat(version), ModelState::kUnavailable, reason);
  MutexLock lock(mutex_);
  models_[model][version] = {ModelState::kUnavailable, reason, nullptr};
  --still_loading_;
  if (first_failure_.ok()) {
    first_failure_ = absl::Status(status.code(), absl::StrCat("model '", model, "' version ",
                                                              version, " did not load: ", reason));
  }
  loaded_.notify_all();
}

std::optional<absl::Status> ServingCoreImpl::AwaitLoaded(SteadyClock::time_point deadline) {
  MutexLock lock(mutex_);
  while (true) {
    if (stopping_) return absl::CancelledError("the server was stopped while it loaded");
    const bool failed = !first_failure_.ok();
    if (still_loading_ == 0 || (failed && !options_.keep_going)) return first_failure_;
    if (clock_.Now() >= deadline) return std::nullopt;
    clock_.WaitUntil(loaded_, lock, deadline);
  }
}

void ServingCoreImpl::Infer(std::unique_ptr<InferenceRequest> request) {
  if (gate_closed_.load()) {
    request->done(absl::UnavailableError("the server is draining: it takes no new requests"),
                  RefusalReason::kDraining);
    return;
  }
  absl::StatusOr<ServablePtr> servable;
  {
    MutexLock lock(mutex_);
    servable = FindLocked(request->model_name, request->model_version);
  }
  if (!servable.ok()) {
    const bool invalid = absl::IsInvalidArgument(servable.status());
    request->done(servable.status(), invalid ? RefusalReason::kInvalid : RefusalReason::kNone);
    return;
  }
  (*servable)->Infer(std::move(request));
}

absl::StatusOr<const ServingCoreImpl::Versions*> ServingCoreImpl::FindModelLocked(
    const std::string& name) const {
  const auto model = models_.find(name);
  if (model != models_.end()) return &model->second;
  return absl::NotFoundError(absl::StrCat("Request for unknown model: '", name, "' is not found"));
}

absl::StatusOr<ServingCoreImpl::ServablePtr> ServingCoreImpl::FindLocked(
    const std::string& name, const std::string& version) const {
  REPRISE_ASSIGN_OR_RETURN(const Versions* versions, FindModelLocked(name));
  if (!version.empty()) {
    REPRISE_ASSIGN_OR_RETURN(const std::int64_t number, ParseVersion(version));
    const auto found = versions->find(number);
    if (found == versions->end()) {
      return absl::NotFoundError(absl::StrCat("Request for unknown model: '", name, "' version ",
                                              number, " is not found"));
    }
    if (found->second.servable != nullptr) return found->second.servable;
    return NotAtReadyState(name, number, found->second.reason);
  }
  for (auto latest = versions->rbegin(); latest != versions->rend(); ++latest) {
    if (latest->second.servable != nullptr) return latest->second.servable;
  }
  for (const auto& [number, each] : *versions) {
    if (each.state == ModelState::kLoading) return NotAtReadyState(name, number, each.reason);
  }
  return absl::NotFoundError(
      absl::StrCat("Request for unknown model: '", name, "' has no available versions"));
}

bool ServingCoreImpl::Ready() const {
  MutexLock lock(mutex_);
  return !lame_duck_ && !stopping_ && still_loading_ == 0 && first_failure_.ok();
}

absl::StatusOr<bool> ServingCoreImpl::ModelReady(const std::string& name,
                                                 const std::string& version) const {
  MutexLock lock(mutex_);
  absl::StatusOr<ServablePtr> servable = FindLocked(name, version);
  if (servable.ok()) return true;
  // A model that is known but failed is not ready, and not unknown.
  if (absl::IsUnavailable(servable.status())) return false;
  if (version.empty() && FindModelLocked(name).ok()) return false;
  return servable.status();
}

absl::StatusOr<ModelDescription> ServingCoreImpl::Describe(const std::string& name,
                                                           const std::string& version) const {
  MutexLock lock(mutex_);
  REPRISE_ASSIGN_OR_RETURN(const ServablePtr servable, FindLocked(name, version));
  ModelDescription description = servable->description();
  for (const auto& [number, each] : models_.at(name)) {
    if (each.state == ModelState::kReady) description.versions.push_back(absl::StrCat(number));
  }
  return description;
}

std::vector<ModelIndexEntry> ServingCoreImpl::Index() const {
  MutexLock lock(mutex_);
  std::vector<ModelIndexEntry> index;
  for (const auto& [name, versions] : models_) {
    for (const auto& [number, each] : versions) {
      index.push_back({name, absl::StrCat(number), each.state, each.reason});
    }
  }
  return index;
}

std::vector<ServingCoreImpl::ServablePtr> ServingCoreImpl::Servables() const {
  MutexLock lock(mutex_);
  std::vector<ServablePtr> servables;
  for (const auto& [name, versions] : models_) {
    for (const auto& [number, each] : versions) {
      if (each.servable != nullptr) servables.push_back(each.servable);
    }
  }
  return servables;
}

void ServingCoreImpl::StartLameDuck() {
  if (!lame_duck_.exchange(true)) observer_.OnDraining();
}

void ServingCoreImpl::CloseGate() {
  StartLameDuck();
  gate_closed_ = true;
  for (const ServablePtr& servable : Servables()) servable->Flush();
}

bool ServingCoreImpl::AwaitIdle(SteadyClock::time_point deadline) {
  const std::vector<ServablePtr> servables = Servables();
  return std::all_of(servables.begin(), servables.end(), [deadline](const ServablePtr& servable) {
    return servable->AwaitIdle(deadline);
  });
}

void ServingCoreImpl::Shutdown() {
  gate_closed_ = true;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    loaded_.notify_all();
  }
  for (std::thread& thread : load_threads_) thread.join();
  for (const ServablePtr& servable : Servables()) servable->Shutdown();
}

bool ServingCoreImpl::Alive() const {
  const SteadyClock::time_point now = clock_.Now();
  const std::vector<ServablePtr> servables = Servables();
  return std::all_of(servables.begin(), servables.end(), [now](const ServablePtr& servable) {
    return now - servable->heartbeat() <= kStuckAfter;
  });
}

}  // namespace reprise::server::repository
