#include "server/config/memory_limit.h"

#include "gtest/gtest.h"
#include "tests/temporary_directory.h"

namespace reprise::server::config {
namespace {

constexpr char kUnlimitedV1[] = "9223372036854771712\n";

TEST(MemoryLimit, IsTheMachinesWithoutGroups) {
  const testing::TemporaryDirectory root;
  const std::int64_t machine = MemoryLimit(root.path());
  EXPECT_GT(machine, std::int64_t{1} << 26);
  EXPECT_LE(MemoryLimit(), machine);
}

TEST(MemoryLimit, IsThatOfTheGroupInVersion2) {
  const testing::TemporaryDirectory root;
  root.Write("proc/self/cgroup", "0::/pod/container\n");
  root.Write("sys/fs/cgroup/pod/container/memory.max", "1048576\n");
  EXPECT_EQ(MemoryLimit(root.path()), 1048576);
  // A group around it with less decides.
  root.Write("sys/fs/cgroup/pod/memory.max", "524288\n");
  EXPECT_EQ(MemoryLimit(root.path()), 524288);
}

TEST(MemoryLimit, OfAContainerThatSeesItsGroupAsTheRoot) {
  const testing::TemporaryDirectory root;
  root.Write("proc/self/cgroup", "0::/\n");
  root.Write("sys/fs/cgroup/memory.max", "1048576\n");
  EXPECT_EQ(MemoryLimit(root.path()), 1048576);
}

TEST(MemoryLimit, MaxIsNoLimit) {
  const testing::TemporaryDirectory root;
  const std::int64_t machine = MemoryLimit(root.path());
  root.Write("proc/self/cgroup", "0::/\n");
  root.Write("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(MemoryLimit(root.path()), machine);
}

TEST(MemoryLimit, IsThatOfTheGroupInVersion1) {
  const testing::TemporaryDirectory root;
  root.Write("proc/self/cgroup", "3:cpu,cpuacct:/a\n2:hugetlb,memory:/docker/abc\nbroken\n");
  root.Write("sys/fs/cgroup/memory/memory.limit_in_bytes", kUnlimitedV1);
  root.Write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "2097152\n");
  EXPECT_EQ(MemoryLimit(root.path()), 2097152);
}

}  // namespace
}  // namespace reprise::server::config
