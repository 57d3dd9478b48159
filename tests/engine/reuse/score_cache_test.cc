#include "engine/reuse/score_cache.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/reuse/projection_cache.h"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

ScoreCache Make(int slots, DType format, std::int64_t capacity) {
  auto cache = ScoreCache::Create(
      {.num_slots = slots, .format = format, .capacity_bytes = capacity, .max_sequences = 8});
  EXPECT_OK(cache);
  return *std::move(cache);
}

TEST(ScoreCacheTest, BlocksOfAllSlotsAndSequencesAreDisjoint) {
  for (const DType format : {DType::kF32, DType::kBF16}) {
    ScoreCache cache = Make(3, format, 1 << 20);
    const std::vector<std::int64_t> lengths = {5, 1, 33};
    ASSERT_OK(cache.LayOut(lengths));
    std::vector<std::pair<const char*, const char*>> ranges;
    for (int slot = 0; slot < 3; ++slot) {
      for (std::int64_t s = 0; s < 3; ++s) {
        const ScoreBlock block = cache.block(slot, s);
        EXPECT_GE(block.row_stride, (lengths[s] + 1) / 2 * 2);
        const char* probs = static_cast<const char*>(block.probs);
        ranges.emplace_back(probs, probs + lengths[s] * block.row_stride *
                                               static_cast<std::int64_t>(SizeOf(format)));
        const char* sums = reinterpret_cast<const char*>(block.inverse_row_sums);
        ranges.emplace_back(sums, sums + lengths[s] * 4);
      }
    }
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        EXPECT_TRUE(ranges[i].second <= ranges[j].first || ranges[j].second <= ranges[i].first);
      }
    }
  }
}

TEST(ScoreCacheTest, RefusesRatherThanGrows) {
  const std::int64_t one = ScoreCache::SequenceBytes(40, 2, DType::kF32);
  ScoreCache cache = Make(2, DType::kF32, one);
  EXPECT_OK(cache.LayOut(std::vector<std::int64_t>{40}));
  EXPECT_EQ(cache.live_bytes(), one);
  EXPECT_THAT(cache.LayOut(std::vector<std::int64_t>{40, 1}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr(std::to_string(one))));
  EXPECT_EQ(cache.capacity_bytes(), one);
}

TEST(ScoreCacheTest, RemembersItsPeak) {
  ScoreCache cache = Make(1, DType::kBF16, 1 << 20);
  ASSERT_OK(cache.LayOut(std::vector<std::int64_t>{100}));
  ASSERT_OK(cache.LayOut(std::vector<std::int64_t>{10}));
  EXPECT_EQ(cache.live_bytes(), ScoreCache::SequenceBytes(10, 1, DType::kBF16));
  EXPECT_EQ(cache.peak_bytes(), ScoreCache::SequenceBytes(100, 1, DType::kBF16));
}

TEST(ScoreCacheTest, ASequenceThatStoresNothingTakesNoRoom) {
  ScoreCache cache = Make(4, DType::kF32, 1 << 16);
  ASSERT_OK(cache.LayOut(std::vector<std::int64_t>{0, 8, 0}));
  EXPECT_EQ(cache.live_bytes(), ScoreCache::SequenceBytes(8, 4, DType::kF32));
}

TEST(ProjectionCacheTest, RowsOfSlotsAreDisjoint) {
  const auto cache = ProjectionCache::Create(
      {.num_slots = 2, .max_rows = 5, .head_dim = 16, .precision = DType::kBF16});
  ASSERT_OK(cache);
  EXPECT_EQ(cache->row_bytes(), 32);
  EXPECT_EQ(cache->bytes(), 2 * 2 * 5 * 32 + 2 * 2 * 5 * 4);  // and maxima and sums of rows
  EXPECT_EQ(cache->query(0, 4) + 32, cache->key(0, 0));
  EXPECT_EQ(cache->key(0, 4) + 32, cache->query(1, 0));
  EXPECT_EQ(cache->row_statistics(0, 5).row_maxima, cache->row_statistics(0, 0).inverse_row_sums);
  EXPECT_EQ(cache->row_statistics(0, 5).inverse_row_sums, cache->row_statistics(1, 0).row_maxima);
}

}  // namespace
}  // namespace reprise::engine::reuse
