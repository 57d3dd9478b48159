#include "server/batching/batch_buffers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server::batching {
namespace {

using ::testing::ElementsAre;

pipeline::PackedRows Rows(std::vector<std::int32_t> cu_seqlens, std::int32_t first_id) {
  pipeline::PackedRows rows;
  rows.cu_seqlens = std::move(cu_seqlens);
  for (std::int64_t t = 0; t < rows.tokens(); ++t) {
    rows.input_ids.push_back(first_id + static_cast<std::int32_t>(t));
    rows.token_type_ids.push_back(1);
    rows.position_ids.push_back(static_cast<std::int32_t>(2 * t));
  }
  return rows;
}

TEST(BatchBuffers, JoinsRequestsBehindOneAnother) {
  BatchBuffers buffers(8, 16);
  buffers.Append(Rows({0, 2, 3}, 10));
  buffers.Append(Rows({0, 1}, 20));
  const engine::RaggedBatch batch = buffers.View();
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(batch.input_ids, ElementsAre(10, 11, 12, 20));
  EXPECT_THAT(batch.token_type_ids, ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(batch.position_ids, ElementsAre(0, 2, 4, 0));
}

TEST(BatchBuffers, ClearStartsAnewInTheSameMemory) {
  BatchBuffers buffers(8, 16);
  buffers.Append(Rows({0, 16}, 1));
  const std::int32_t* memory = buffers.View().input_ids.data();
  buffers.Clear();
  EXPECT_EQ(buffers.View().batch_size(), 0);
  buffers.Append(Rows({0, 16}, 1));
  EXPECT_EQ(buffers.View().input_ids.data(), memory);
}

}  // namespace
}  // namespace reprise::server::batching
