// One loaded version from the moment it answers to the moment its memory is given back.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>

#include "server/repository/model_repository.h"
#include "server/repository/servable.h"
#include "server/request/mutex.h"

namespace reprise::server::repository {

// Callers hold a share of the door while they hand their request in, so that Retire can wait until
// the last of them is inside before it looks whether anything is in flight: nobody who found this
// version meets a closed queue.
class VersionInService {
 public:
  // `load_time` is what it took to get here.
  VersionInService(std::unique_ptr<Servable> servable, VersionDirectory directory,
                   ModelServingOptions options, std::chrono::nanoseconds load_time);
  VersionInService(const VersionInService&) = delete;
  VersionInService& operator=(const VersionInService&) = delete;

  // A share to hold for no longer than handing a request in takes. Requires: Retire has not begun;
  // whoever calls this and whoever retires agree on that under a lock.
  std::shared_ptr<Servable> Enter() const { return door_; }
  // Returns when everything asked of this version is answered. Called once.
  void Retire();

  // Valid as long as this object, whatever became of the door.
  Servable& servable() const { return *servable_; }
  std::chrono::nanoseconds load_time() const { return load_time_; }
  // Whether loading from there would give the same again.
  bool IsLoadedFrom(const VersionDirectory& directory, const ModelServingOptions& options) const;

 private:
  const std::unique_ptr<Servable> servable_;
  const VersionDirectory directory_;
  const ModelServingOptions options_;
  const std::chrono::nanoseconds load_time_;

  Mutex mutex_;
  std::condition_variable left_;
  bool all_left_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Servable> door_;  // its deleter reports that the last caller has left
};

}  // namespace reprise::server::repository
