#include "engine/device_health.h"

#include <cstdlib>

#include "gtest/gtest.h"

namespace reprise::engine {
namespace {

// In a process of its own: what is remembered stays.
TEST(DeviceHealth, TheFirstReasonIsRemembered) {
  EXPECT_FALSE(DeviceIsLost());
  EXPECT_FALSE(WhyDeviceWasLost().has_value());
  EXPECT_EXIT(
      {
        ReportDeviceLost("the first");
        ReportDeviceLost("the second");
        std::_Exit(DeviceIsLost() && WhyDeviceWasLost() == "the first" ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace reprise::engine
