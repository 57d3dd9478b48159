#include "engine/memory/buffer.h"

#include <utility>

#include "tests/status_matchers.h"

namespace reprise::engine::memory {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

TEST(BufferTest, IsAlignedZeroAndAccounted) {
  const std::int64_t before = MemoryAccount::Process().bytes(Purpose::kScores);
  {
    const auto buffer = Buffer::Allocate(Purpose::kScores, 3 << 20);
    ASSERT_OK(buffer);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % kAlignment, 0u);
    for (std::int64_t i = 0; i < buffer->bytes(); i += 4096) {
      EXPECT_EQ(buffer->data()[i], std::byte{0});
    }
    EXPECT_EQ(MemoryAccount::Process().bytes(Purpose::kScores), before + (3 << 20));
  }
  EXPECT_EQ(MemoryAccount::Process().bytes(Purpose::kScores), before);
}

TEST(BufferTest, MovingLeavesTheSourceEmpty) {
  auto first = *Buffer::Allocate(Purpose::kScratch, 100);
  Buffer second = std::move(first);
  EXPECT_EQ(first.data(), nullptr);  // NOLINT(bugprone-use-after-move): that is the promise
  EXPECT_EQ(second.bytes(), 100);
  first = std::move(second);
  EXPECT_EQ(first.bytes(), 100);
}

TEST(BufferTest, NoBytesNeedNoMemory) {
  const auto buffer = Buffer::Allocate(Purpose::kScratch, 0);
  ASSERT_OK(buffer);
  EXPECT_EQ(buffer->data(), nullptr);
}

TEST(BufferTest, AnImpossibleSizeIsRefused) {
  EXPECT_THAT(Buffer::Allocate(Purpose::kScores, std::int64_t{1} << 60),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("scores")));
}

}  // namespace
}  // namespace reprise::engine::memory
