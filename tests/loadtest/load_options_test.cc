#include "loadtest/generator/load_options.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::loadtest {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

TEST(LoadOptions, WhatIsOutOfRangeIsNamed) {
  const auto refused = [](LoadOptions options, const char* what) {
    if (options.model.empty()) options.model = "m";
    EXPECT_THAT(Validate(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)));
  };
  EXPECT_THAT(Validate({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model")));
  refused({.lengths = {{0, 9, 1}}}, "length is 0");
  refused({.lengths = {{9, 99999, 1}}}, "length is 99999");
  refused({.lengths = {}}, "lengths is empty");
  refused({.rate = -1}, "rate is -1");
  refused({.client_key = "No:"}, "client_key is 'No:'");
  refused({.connections = 0}, "connections is 0");
  refused({.drain = std::chrono::milliseconds(0)}, "drain (ms) is 0");
  LoadOptions sound;
  sound.model = "m";
  EXPECT_OK(Validate(sound));
}

}  // namespace
}  // namespace reprise::loadtest
