#include "server/commands/bench_batch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Lt;

TEST(RandomBatch, HasTheLengthsAndTheVocabulary) {
  const TokenBatch batch = RandomBatch({3, 1, 7}, 20, /*seed=*/4);
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 3, 4, 11));
  EXPECT_THAT(batch.lengths(), ElementsAre(3, 1, 7));
  EXPECT_EQ(batch.longest(), 7);
  EXPECT_THAT(batch.input_ids, Each(AllOf(Ge(0), Lt(20))));
}

TEST(RandomBatch, IsTheSameForTheSameSeed) {
  EXPECT_EQ(RandomBatch({30}, 1000, 1).input_ids, RandomBatch({30}, 1000, 1).input_ids);
  EXPECT_NE(RandomBatch({30}, 1000, 1).input_ids, RandomBatch({30}, 1000, 2).input_ids);
}

TEST(ReadTokenBatch, TakesTheSequencesOfAFile) {
  const testing::TemporaryDirectory folder;
  const auto batch = ReadTokenBatch(folder.Write("ids.json", "[[5, 6, 7], [8]]"));
  ASSERT_OK(batch);
  EXPECT_THAT(batch->input_ids, ElementsAre(5, 6, 7, 8));
  EXPECT_THAT(batch->cu_seqlens, ElementsAre(0, 3, 4));
}

TEST(ReadTokenBatch, SaysWhatItFoundInstead) {
  const testing::TemporaryDirectory folder;
  EXPECT_THAT(ReadTokenBatch("/nowhere/ids.json"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/ids.json")));
  for (const char* text : {"", "{", "{}", "7", "[]", "[[]]", "[5]", "[[5], 6]", "[[-1]]", "[[1.5]]",
                           "[[\"5\"]]", "[[4294967296]]", "[[null]]"}) {
    EXPECT_THAT(ReadTokenBatch(folder.Write("ids.json", text)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("ids.json"), HasSubstr("expected a JSON list"))))
        << text;
  }
}

}  // namespace
}  // namespace reprise::server::commands
