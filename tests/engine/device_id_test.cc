#include "engine/device_id.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine {
namespace {

using ::testing::HasSubstr;

TEST(DeviceId, IsReadAndWritten) {
  EXPECT_EQ(*ParseDeviceId("cpu"), DeviceId{});
  EXPECT_EQ(*ParseDeviceId("cuda"), (DeviceId{DeviceId::Kind::kCuda, 0}));
  EXPECT_EQ(*ParseDeviceId("cuda:12"), (DeviceId{DeviceId::Kind::kCuda, 12}));
  for (const char* name : {"cpu", "cuda:0", "cuda:1023"}) {
    EXPECT_EQ(ToString(*ParseDeviceId(name)), name);
  }
}

TEST(DeviceId, AnythingElseIsRefused) {
  for (const char* text : {"", "CPU", "tpu", "cuda:", "cuda:-1", "cuda:1024", "cuda:1x", "cuda:+1",
                           "cuda:99999999999", "cuda 0", "cpu:0"}) {
    EXPECT_THAT(ParseDeviceId(text), testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                                       HasSubstr("cpu, cuda or cuda:N")))
        << text;
  }
}

}  // namespace
}  // namespace reprise::engine
