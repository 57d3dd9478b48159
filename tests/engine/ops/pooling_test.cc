#include "engine/ops/pooling.h"

#include <cmath>

#include "engine/ops/embedding.h"
#include "tests/engine/ops/test_matrices.h"
#include "tests/reference/tolerance.h"

namespace reprise::engine::ops {
namespace {

using ::testing::ElementsAre;

class PoolingTest : public ::testing::Test {
 protected:
  std::vector<float> Pool(const PoolingOptions& options) {
    std::vector<float> pooled(2 * 3);
    PoolSequences(team_, {hidden_.data(), 3, 3, 3}, cu_seqlens_, options, {pooled.data(), 2, 3, 3});
    return pooled;
  }

  device::ThreadTeam team_{{.threads = 2}};
  std::vector<float> hidden_ = {1, 2, 3, 5, 6, 7, 3, 0, 4};
  std::vector<std::int32_t> cu_seqlens_ = {0, 2, 3};
};

TEST_F(PoolingTest, MeanIsOverTheTokensOfEachSequence) {
  EXPECT_THAT(Pool({.kind = PoolingKind::kMean}), ElementsAre(3, 4, 5, 3, 0, 4));
}

TEST_F(PoolingTest, FirstTokenIsCopied) {
  EXPECT_THAT(Pool({.kind = PoolingKind::kFirstToken}), ElementsAre(1, 2, 3, 3, 0, 4));
}

TEST_F(PoolingTest, NormalizeGivesUnitLength) {
  const std::vector<float> pooled = Pool({.kind = PoolingKind::kFirstToken, .normalize = true});
  EXPECT_FLOAT_EQ(pooled[3], 0.6f);
  EXPECT_FLOAT_EQ(pooled[5], 0.8f);
  EXPECT_NEAR(pooled[0] * pooled[0] + pooled[1] * pooled[1] + pooled[2] * pooled[2], 1.0, 1e-6);
}

TEST_F(PoolingTest, NormalizeLeavesZeroAtZero) {
  std::fill(hidden_.begin(), hidden_.end(), 0.0f);
  for (const float value : Pool({.normalize = true})) EXPECT_EQ(value, 0.0f);
}

TEST_F(PoolingTest, FirstTokensAreGatheredInEitherType) {
  std::vector<BFloat16> operand(6);
  GatherFirstTokens({hidden_.data(), 3, 3, 3}, cu_seqlens_, DType::kBF16, operand.data());
  EXPECT_EQ(operand[1].ToFloat(), 2.0f);
  EXPECT_EQ(operand[5].ToFloat(), 4.0f);
}

TEST(EmbeddingTest, SumsTokenPositionAndType) {
  device::ThreadTeam team({.threads = 1});
  const std::vector<float> token = {0, 0, 1, 10, 2, 20}, position = {100, 100, 200, 200, 300, 300},
                           type = {0, 0, 1000, 1000};
  const std::vector<std::int32_t> cu_seqlens = {0, 2, 3}, ids = {1, 2, 2}, types = {0, 1, 1},
                                  positions = {0, 2, 1};
  std::vector<float> hidden(6);
  SumEmbeddings(team, {cu_seqlens, ids, types, positions},
                {token.data(), position.data(), type.data()}, {hidden.data(), 3, 2, 2});
  EXPECT_THAT(hidden, ElementsAre(101, 110, 1302, 1320, 1202, 1220));
}

TEST(EmbeddingTest, MissingTypesAndPositionsCountFromZero) {
  device::ThreadTeam team({.threads = 1});
  const std::vector<float> token = {0, 1, 2}, position = {100, 200, 300}, type = {5, 7};
  const std::vector<std::int32_t> cu_seqlens = {0, 2, 3}, ids = {1, 2, 2};
  std::vector<float> hidden(3);
  SumEmbeddings(team, {cu_seqlens, ids, {}, {}}, {token.data(), position.data(), type.data()},
                {hidden.data(), 3, 1, 1});
  EXPECT_THAT(hidden, ElementsAre(106, 207, 107));
}

}  // namespace
}  // namespace reprise::engine::ops
