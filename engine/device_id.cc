#include "engine/device_id.h"

#include <charconv>

#include "absl/strings/str_cat.h"

namespace reprise::engine {
namespace {

constexpr int kMaxOrdinal = 1023;
constexpr std::string_view kCuda = "cuda";

}  // namespace

absl::StatusOr<DeviceId> ParseDeviceId(std::string_view text) {
  if (text == "cpu") return DeviceId{};
  if (text == kCuda) return DeviceId{DeviceId::Kind::kCuda, 0};
  const std::string_view prefix = "cuda:";
  if (text.starts_with(prefix)) {
    const std::string_view digits = text.substr(prefix.size());
    int ordinal = -1;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
    if (error == std::errc() && end == digits.data() + digits.size() && ordinal >= 0 &&
        ordinal <= kMaxOrdinal) {
      return DeviceId{DeviceId::Kind::kCuda, ordinal};
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("device '", std::string(text), "' is unknown; expected cpu, cuda or cuda:N"));
}

std::string ToString(DeviceId device) {
  return device.kind == DeviceId::Kind::kCpu ? "cpu" : absl::StrCat("cuda:", device.ordinal);
}

}  // namespace reprise::engine
