// Whether a device has failed for good: then nothing that this process starts on it can succeed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace reprise::engine {

// Remembered until the process ends; the first reason is kept. Thread-safe, as are the others.
void ReportDeviceLost(std::string_view reason);

bool DeviceIsLost();
std::optional<std::string> WhyDeviceWasLost();  // nothing while all is well

}  // namespace reprise::engine
