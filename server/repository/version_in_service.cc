#include "server/repository/version_in_service.h"

#include <utility>

namespace reprise::server::repository {

VersionInService::VersionInService(std::unique_ptr<Servable> servable, VersionDirectory directory,
                                   ModelServingOptions options, std::chrono::nanoseconds load_time)
    : servable_(std::move(servable)),
      directory_(std::move(directory)),
      options_(std::move(options)),
      load_time_(load_time),
      door_(servable_.get(), [this](Servable*) {
        MutexLock lock(mutex_);
        all_left_ = true;
        left_.notify_all();
      }) {}

void VersionInService::Retire() {
  door_.reset();
  {
    MutexLock lock(mutex_);
    while (!all_left_) left_.wait(lock.native());
  }
  servable_->Flush();
  servable_->AwaitIdle(SteadyClock::time_point::max());
}

bool VersionInService::IsLoadedFrom(const VersionDirectory& directory,
                                    const ModelServingOptions& options) const {
  ModelServingOptions same_choice = options;
  same_choice.versions = options_.versions;  // decides which versions are loaded, not how
  return directory == directory_ && same_choice == options_;
}

}  // namespace reprise::server::repository
