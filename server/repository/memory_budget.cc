#include "server/repository/memory_budget.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/tensor_spec.h"

namespace reprise::server::repository {
namespace {

std::string MebiBytes(std::int64_t bytes) {
  return absl::StrCat((bytes + (1 << 20) - 1) >> 20, " MiB");
}

}  // namespace

MemoryBudget::Share::~Share() {
  if (budget_ == nullptr) return;
  MutexLock lock(budget_->mutex_);
  budget_->reserved_ -= bytes_;
}

absl::StatusOr<MemoryBudget::Share> MemoryBudget::Reserve(std::int64_t bytes) {
  MutexLock lock(mutex_);
  const std::int64_t left =
      std::max<std::int64_t>(0, limit_bytes_ - std::max<std::int64_t>(0, in_use_()) - reserved_);
  if (bytes > left) {
    return absl::FailedPreconditionError(
        absl::StrCat("its weights take ", MebiBytes(bytes), ", and of the ",
                     MebiBytes(limit_bytes_), " that this process may use only ", MebiBytes(left),
                     " are left; unload another model, or raise the memory limit"));
  }
  reserved_ += bytes;
  return Share(this, bytes);
}

absl::StatusOr<std::int64_t> WeightBytes(const std::string& directory, engine::Precision precision,
                                         engine::DeviceId device) {
  // On a GPU they pass through the host one tensor at a time.
  if (device.kind != engine::DeviceId::Kind::kCpu) return 0;
  REPRISE_ASSIGN_OR_RETURN(const auto checkpoint, engine::weights::Checkpoint::Open(directory));
  const bool fp32 = engine::ResolvePrecision(precision) == engine::Precision::kF32;
  const std::int64_t element_bytes = fp32 ? 4 : 2;
  std::int64_t bytes = 0;
  for (const auto& [name, entry] : checkpoint->entries()) {
    bytes += engine::weights::ElementCount(entry.tensor->shape) * element_bytes;
  }
  return bytes;
}

std::int64_t OwnMemoryBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("RssAnon:", 0) == 0) return std::stoll(line.substr(8)) * 1024;
  }
  return 0;  // an old kernel does not say
}

}  // namespace reprise::server::repository
