#include "engine/weights/mapped_file.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::weights {
namespace {

std::int64_t ResidentKib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  }
  return 0;
}

std::int64_t CountOf(std::span<const std::byte> bytes, char value) {
  return std::count(bytes.begin(), bytes.end(), static_cast<std::byte>(value));
}

TEST(MappedFile, ReleasedPagesLeaveTheProcessAndComeBackWhenRead) {
  const testing::TemporaryDirectory folder;
  constexpr std::int64_t kBytes = 32 << 20;
  const auto file = MappedFile::Open(folder.Write("weights", std::string(kBytes, 'w')));
  ASSERT_OK(file);
  EXPECT_EQ(CountOf(file->bytes(), 'w'), kBytes);
  const std::int64_t before = ResidentKib();
  file->Release(file->bytes());
  EXPECT_LT(ResidentKib(), before - kBytes / 1024 / 2);
  EXPECT_EQ(CountOf(file->bytes(), 'w'), kBytes);
}

TEST(MappedFile, PartsOfAnySizeMayBeReleased) {
  const testing::TemporaryDirectory folder;
  const auto file = MappedFile::Open(folder.Write("weights", std::string(20'000, 'w')));
  ASSERT_OK(file);
  for (const std::size_t begin : {0, 1, 4095, 4096, 19'999, 20'000}) {
    for (const std::size_t size : {0, 1, 4096, 9000}) {
      const std::size_t most = file->bytes().size() - begin;
      file->Release(file->bytes().subspan(begin, std::min(size, most)));
      EXPECT_EQ(CountOf(file->bytes(), 'w'), 20'000);
    }
  }
}

}  // namespace
}  // namespace reprise::engine::weights
