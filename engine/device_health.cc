#include "engine/device_health.h"

#include <atomic>
#include <mutex>

namespace reprise::engine {
namespace {

struct Loss {
  std::atomic<bool> happened{false};
  std::mutex mutex;
  std::string reason;

  static Loss& Process() {
    static Loss loss;
    return loss;
  }
};

}  // namespace

void ReportDeviceLost(std::string_view reason) {
  Loss& loss = Loss::Process();
  const std::lock_guard lock(loss.mutex);
  if (loss.happened.load(std::memory_order_relaxed)) return;
  loss.reason = reason;
  loss.happened.store(true, std::memory_order_release);
}

bool DeviceIsLost() { return Loss::Process().happened.load(std::memory_order_acquire); }

std::optional<std::string> WhyDeviceWasLost() {
  if (!DeviceIsLost()) return std::nullopt;
  Loss& loss = Loss::Process();
  const std::lock_guard lock(loss.mutex);
  return loss.reason;
}

}  // namespace reprise::engine
