#include "server/repository/model_table.h"

#include <malloc.h>

#include <charconv>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::repository {
namespace {

constexpr const char* kNotLoaded = "not loaded";

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

absl::StatusOr<const ModelTable::Model*> ModelTable::FindModel(const std::string& name) const {
  const auto model = models_.find(name);
  if (model != models_.end()) return &model->second;
  return absl::NotFoundError(absl::StrCat("Request for unknown model: '", name, "' is not found"));
}

absl::StatusOr<ModelTable::InService> ModelTable::FindVersion(const std::string& name,
                                                              const std::string& version) const {
  REPRISE_ASSIGN_OR_RETURN(const Model* model, FindModel(name));
  const std::map<std::int64_t, Version>& versions = model->versions;
  if (!version.empty()) {
    REPRISE_ASSIGN_OR_RETURN(const std::int64_t number, ParseVersion(version));
    const auto found = versions.find(number);
    if (found == versions.end()) {
      return absl::NotFoundError(absl::StrCat("Request for unknown model: '", name, "' version ",
                                              number, " is not found"));
    }
    if (found->second.served != nullptr) return found->second.served;
    return NotAtReadyState(name, number, found->second.reason);
  }
  for (auto latest = versions.rbegin(); latest != versions.rend(); ++latest) {
    if (latest->second.served != nullptr) return latest->second.served;
  }
  for (const auto& [number, each] : versions) {
    if (each.state == ModelState::kLoading) return NotAtReadyState(name, number, each.reason);
  }
  return absl::NotFoundError(
      absl::StrCat("Request for unknown model: '", name, "' has no available versions"));
}

absl::StatusOr<std::shared_ptr<Servable>> ModelTable::Find(const std::string& name,
                                                           const std::string& version) const {
  MutexLock lock(mutex_);
  REPRISE_ASSIGN_OR_RETURN(const InService served, FindVersion(name, version));
  return served->Enter();
}

absl::StatusOr<bool> ModelTable::Ready(const std::string& name, const std::string& version) const {
  MutexLock lock(mutex_);
  const absl::StatusOr<InService> served = FindVersion(name, version);
  if (served.ok()) return true;
  // A model that is known but failed is not ready, and not unknown.
  if (absl::IsUnavailable(served.status())) return false;
  if (version.empty() && FindModel(name).ok()) return false;
  return served.status();
}

absl::StatusOr<ModelDescription> ModelTable::Describe(const std::string& name,
                                                      const std::string& version) const {
  MutexLock lock(mutex_);
  REPRISE_ASSIGN_OR_RETURN(const InService served, FindVersion(name, version));
  ModelDescription description = served->servable().description();
  for (const auto& [number, each] : models_.at(name).versions) {
    if (each.state == ModelState::kReady) description.versions.push_back(absl::StrCat(number));
  }
  return description;
}

std::vector<ModelIndexEntry> ModelTable::Index(const std::vector<std::string>& on_disk) const {
  std::map<std::string, std::vector<ModelIndexEntry>> by_name;
  for (const std::string& name : on_disk) by_name[name];
  {
    MutexLock lock(mutex_);
    for (const auto& [name, model] : models_) {
      std::vector<ModelIndexEntry>& entries = by_name[name];
      for (const auto& [number, each] : model.versions) {
        entries.push_back({name, absl::StrCat(number), each.state, each.reason});
      }
      if (entries.empty() && !model.failure.empty()) {
        entries.push_back({name, "", ModelState::kUnavailable, model.failure});
      }
    }
  }
  std::vector<ModelIndexEntry> index;
  for (auto& [name, entries] : by_name) {
    if (entries.empty()) entries.push_back({name, "", ModelState::kUnavailable, kNotLoaded});
    for (ModelIndexEntry& entry : entries) index.push_back(std::move(entry));
  }
  return index;
}

std::vector<ModelTable::InService> ModelTable::Active() const {
  MutexLock lock(mutex_);
  std::vector<InService> active(retiring_.begin(), retiring_.end());
  for (const auto& [name, model] : models_) {
    for (const auto& [number, each] : model.versions) {
      if (each.served != nullptr) active.push_back(each.served);
    }
  }
  return active;
}

bool ModelTable::Serves(const std::string& name, const VersionDirectory& directory,
                        const ModelServingOptions& options) const {
  MutexLock lock(mutex_);
  const auto model = models_.find(name);
  if (model == models_.end()) return false;
  const auto version = model->second.versions.find(directory.version);
  return version != model->second.versions.end() && version->second.served != nullptr &&
         version->second.served->IsLoadedFrom(directory, options);
}

void ModelTable::SetLoading(const std::string& name, std::int64_t version) {
  {
    MutexLock lock(mutex_);
    Version& entry = models_[name].versions[version];
    if (entry.served != nullptr || entry.state == ModelState::kLoading) return;
    entry = {ModelState::kLoading, "loading"};
  }
  observer_.OnModelState(name, absl::StrCat(version), ModelState::kLoading, "loading");
}

void ModelTable::SetFailed(const std::string& name, std::int64_t version,
                           const std::string& reason) {
  ModelState state;
  {
    MutexLock lock(mutex_);
    Version& entry = models_[name].versions[version];
    entry.state = entry.served == nullptr ? ModelState::kUnavailable : ModelState::kReady;
    entry.reason = reason;
    state = entry.state;
  }
  observer_.OnModelState(name, absl::StrCat(version), state, reason);
}

void ModelTable::SetFailed(const std::string& name, const std::string& reason) {
  std::vector<std::string> serving;
  {
    MutexLock lock(mutex_);
    Model& model = models_[name];
    model.failure = reason;
    for (auto& [number, each] : model.versions) {
      if (each.served == nullptr) continue;
      each.reason = reason;
      serving.push_back(absl::StrCat(number));
    }
  }
  for (const std::string& version : serving) {
    observer_.OnModelState(name, version, ModelState::kReady, reason);
  }
  if (serving.empty()) observer_.OnModelState(name, "", ModelState::kUnavailable, reason);
}

std::vector<ModelTable::Retired> ModelTable::Switch(const std::string& name, const Loaded& loaded,
                                                    const std::set<std::int64_t>& wanted) {
  // Before the state: whoever sees a version ready finds its metrics.
  for (const auto& [number, served] : loaded) {
    observer_.OnModelReady(served->servable().description(), served->load_time());
    observer_.OnModelState(name, absl::StrCat(number), ModelState::kReady, "");
  }
  std::vector<Retired> retired;
  std::vector<std::int64_t> forgotten;
  {
    MutexLock lock(mutex_);
    // A name that is not known does not become so by being unloaded.
    if (loaded.empty() && !models_.contains(name)) return {};
    Model& model = models_[name];
    model.failure.clear();
    for (const auto& [number, served] : loaded) {
      Version& entry = model.versions[number];
      if (entry.served != nullptr) retired.push_back({number, entry.served, /*replaced=*/true});
      entry = {ModelState::kReady, "", served};
    }
    for (auto it = model.versions.begin(); it != model.versions.end();) {
      auto& [number, entry] = *it;
      const bool keep = wanted.contains(number);
      if (entry.served != nullptr && keep) entry.reason.clear();
      if (entry.served != nullptr && !keep) {
        retired.push_back({number, entry.served, /*replaced=*/false});
        entry = {ModelState::kUnloading, "unloading"};
      }
      // What failed before and is no longer wanted is forgotten.
      const bool forget =
          !keep && entry.state == ModelState::kUnavailable && entry.reason != kUnloaded;
      if (forget) forgotten.push_back(number);
      it = forget ? model.versions.erase(it) : std::next(it);
    }
    for (const Retired& each : retired) retiring_.insert(each.served);
  }
  for (const Retired& each : retired) {
    if (each.replaced) continue;
    observer_.OnModelState(name, absl::StrCat(each.version), ModelState::kUnloading, "unloading");
  }
  for (const std::int64_t version : forgotten) {
    observer_.OnModelUnloaded(name, absl::StrCat(version));
  }
  return retired;
}

void ModelTable::SetGone(const std::string& name, Retired retired) {
  {
    MutexLock lock(mutex_);
    retiring_.erase(retired.served);
  }
  retired.served.reset();  // outside of the lock: it ends threads
  // Weights and arenas are mapped and gone by now; the allocator keeps the rest, tokenizers above
  // all, in pools of threads that have ended.
  malloc_trim(0);
  if (retired.replaced) return;
  {
    MutexLock lock(mutex_);
    models_[name].versions[retired.version] = {ModelState::kUnavailable, std::string(kUnloaded)};
  }
  const std::string version = absl::StrCat(retired.version);
  observer_.OnModelState(name, version, ModelState::kUnavailable, kUnloaded);
  observer_.OnModelUnloaded(name, version);
}

}  // namespace reprise::server::repository
