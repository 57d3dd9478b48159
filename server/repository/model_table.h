// Which versions of which models there are, in which state, and what answers for them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/repository/model_repository.h"
#include "server/repository/version_in_service.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"
#include "server/request/serving_core.h"

namespace reprise::server::repository {

// Asked by every request; changed by loads and unloads, of which only one per model is under way.
// Each change is reported to the observer, outside of the lock. Thread-safe.
class ModelTable {
 public:
  using InService = std::shared_ptr<VersionInService>;
  // By version number.
  using Loaded = std::map<std::int64_t, InService>;
  struct Retired {
    std::int64_t version;
    InService served;
    bool replaced;  // by a newer load of the same version
  };

  explicit ModelTable(Observer& observer) : observer_(observer) {}  // it must outlive this

  // As ServingCore says. The version found is held by its door: see VersionInService.
  absl::StatusOr<std::shared_ptr<Servable>> Find(const std::string& name,
                                                 const std::string& version) const;
  absl::StatusOr<bool> Ready(const std::string& name, const std::string& version) const;
  absl::StatusOr<ModelDescription> Describe(const std::string& name,
                                            const std::string& version) const;
  // Also the models of `on_disk` (sorted) that nobody loaded.
  std::vector<ModelIndexEntry> Index(const std::vector<std::string>& on_disk) const;

  // Everything that may have requests in flight: in service, or retired and not yet Gone.
  std::vector<InService> Active() const;
  // Whether the version answers and was loaded from exactly this.
  bool Serves(const std::string& name, const VersionDirectory& directory,
              const ModelServingOptions& options) const;

  // A version that serves stays kReady under all of these; the reason of a failure shows beside it.
  void SetLoading(const std::string& name, std::int64_t version);
  void SetFailed(const std::string& name, std::int64_t version, const std::string& reason);
  // The model's folder could not be read, so that no version can be blamed.
  void SetFailed(const std::string& name, const std::string& reason);

  // In one step: `loaded` answers from now on, versions not in `wanted` no longer do. What left
  // service is returned, to be retired and then reported as Gone.
  std::vector<Retired> Switch(const std::string& name, const Loaded& loaded,
                              const std::set<std::int64_t>& wanted);
  // Gives its memory back, then says so. Requires: it is retired.
  void SetGone(const std::string& name, Retired retired);

 private:
  struct Version {
    ModelState state = ModelState::kUnknown;
    std::string reason;
    InService served = nullptr;  // when kReady
  };
  struct Model {
    std::map<std::int64_t, Version> versions;
    std::string failure;  // of the last load, while there are no versions
  };

  absl::StatusOr<const Model*> FindModel(const std::string& name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<InService> FindVersion(const std::string& name, const std::string& version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Observer& observer_;
  mutable Mutex mutex_;
  std::map<std::string, Model> models_ ABSL_GUARDED_BY(mutex_);
  std::set<InService> retiring_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace reprise::server::repository
