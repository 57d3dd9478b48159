#include "engine/device/cpu/cores.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::device {
namespace {

using ::testing::ElementsAreArray;

TEST(UsableCores, AreThoseInTheList) {
  EXPECT_GE(UsableCores(), 1);
  EXPECT_EQ(CoresByNode().size(), UsableCores());
}

TEST(CoresByNode, ACoreOfALaterNodeComesLater) {
  const testing::TemporaryDirectory sysfs;
  const std::vector<int> plain = CoresByNode("/nowhere");
  ASSERT_TRUE(std::is_sorted(plain.begin(), plain.end()));
  // The last core alone on node 0, all that could be on node 1, and some that are nobody's.
  sysfs.Write("node/node0/cpulist", absl::StrCat(plain.back(), "\n"));
  sysfs.Write("node/node1/cpulist", "0-4095,9999999\n");
  std::vector<int> expected = plain;
  std::rotate(expected.begin(), expected.end() - 1, expected.end());
  EXPECT_THAT(CoresByNode(sysfs.path()), ElementsAreArray(expected));
}

TEST(CoresByNode, WhatCannotBeReadChangesNothing) {
  const testing::TemporaryDirectory sysfs;
  for (const char* text : {"", "what?", "-", "3-", "a-b,,"}) {
    sysfs.Write("node/node0/cpulist", text);
    EXPECT_THAT(CoresByNode(sysfs.path()), ElementsAreArray(CoresByNode("/nowhere"))) << text;
  }
}

}  // namespace
}  // namespace reprise::engine::device
