#include "engine/weights/checkpoint.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/engine/weights/checkpoint_files.h"
#include "tests/engine/weights/safetensors_bytes.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::weights {
namespace {

using ::reprise::testing::SafetensorsBytes;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::reprise::testing::ThreeFloats;
using ::reprise::testing::WriteTensors;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::int64_t kThree[] = {3};

std::vector<float> MustRead(const Checkpoint& checkpoint, const std::string& name,
                            std::vector<std::int64_t> shape) {
  const auto values = checkpoint.Read(name, shape);
  EXPECT_OK(values);
  return values.value_or(std::vector<float>());
}

TEST(CheckpointTest, ReadsASingleFile) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "model.safetensors", {{"a", {{2, 2}, {1, 2, 3, 4}}}});
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_OK(checkpoint);
  EXPECT_TRUE((*checkpoint)->Contains("a"));
  EXPECT_FALSE((*checkpoint)->Contains("b"));
  EXPECT_THAT(MustRead(**checkpoint, "a", {2, 2}), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ((*checkpoint)->data_bytes(), 16u);
}

TEST(CheckpointTest, ReadsNarrowTypesAsTheirExactValues) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const TemporaryDirectory directory;
    WriteTensors(directory / "model.safetensors", {{"a", {{3}, {0.5f, -3.0f, 96.0f}}}}, dtype);
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_OK(checkpoint);
    EXPECT_THAT(MustRead(**checkpoint, "a", {3}), ElementsAre(0.5f, -3.0f, 96.0f)) << Name(dtype);
  }
}

TEST(CheckpointTest, ReadsShards) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "one.safetensors", {{"bert.a", {{1}, {1}}}});
  WriteTensors(directory / "two.safetensors", {{"bert.b", {{1}, {2}}}, {"bert.c", {{1}, {3}}}});
  directory.Write("model.safetensors.index.json",
                  R"({"metadata": {"total_size": 12}, "weight_map": {"bert.a": "one.safetensors",
                      "bert.b": "two.safetensors", "bert.c": "two.safetensors"}})");
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_OK(checkpoint);
  EXPECT_THAT((*checkpoint)->entries(), SizeIs(3));
  EXPECT_THAT(MustRead(**checkpoint, "a", {1}), ElementsAre(1));
  EXPECT_THAT(MustRead(**checkpoint, "c", {1}), ElementsAre(3));
}

TEST(CheckpointTest, FollowsLinksAsDownloadCachesLayThem) {
  const TemporaryDirectory blobs;
  const TemporaryDirectory directory;
  WriteTensors(blobs / "0123abcd", {{"a", {{1}, {1}}}});
  std::filesystem::create_symlink(blobs / "0123abcd", directory / "model.safetensors");
  EXPECT_OK(Checkpoint::Open(directory.path()));
}

TEST(CheckpointTest, TakesTheEncodersPrefixOffAndLeavesTheHeads) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "model.safetensors",
               {{"bert.pooler.dense.bias", {{1}, {1}}}, {"classifier.bias", {{1}, {2}}}});
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_OK(checkpoint);
  EXPECT_TRUE((*checkpoint)->Contains("pooler.dense.bias"));
  EXPECT_TRUE((*checkpoint)->Contains("classifier.bias"));
  EXPECT_FALSE((*checkpoint)->Contains("bert.pooler.dense.bias"));
  EXPECT_EQ((*checkpoint)->entries().at("pooler.dense.bias").stored_name, "bert.pooler.dense.bias");
}

TEST(CheckpointTest, KnowsTheOldNamesOfLayerNorm) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "model.safetensors", {{"bert.embeddings.LayerNorm.gamma", {{1}, {1}}},
                                                 {"bert.embeddings.LayerNorm.beta", {{1}, {2}}}});
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_OK(checkpoint);
  EXPECT_THAT(MustRead(**checkpoint, "embeddings.LayerNorm.weight", {1}), ElementsAre(1));
  EXPECT_THAT(MustRead(**checkpoint, "embeddings.LayerNorm.bias", {1}), ElementsAre(2));
}

TEST(CheckpointTest, RefusesTwoSpellingsOfOneTensor) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "model.safetensors", {{"a", {{1}, {1}}}, {"bert.a", {{1}, {2}}}});
  EXPECT_THAT(Checkpoint::Open(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("\"a\""), HasSubstr("\"bert.a\""))));
}

TEST(CheckpointTest, TypesThatCannotBeReadMatterOnlyWhenRead) {
  const TemporaryDirectory directory;
  directory.Write("model.safetensors",
                  SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                   R"("odd":{"dtype":"F4_NEW","shape":[3],"data_offsets":[4,12]}})",
                                   ThreeFloats()));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_OK(checkpoint);
  EXPECT_THAT(MustRead(**checkpoint, "a", {1}), ElementsAre(1));
  EXPECT_THAT((*checkpoint)->Read("odd", kThree),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'odd'"), HasSubstr("\"F4_NEW\""),
                             HasSubstr("expected F32, F16 or BF16"))));
}

TEST(CheckpointTest, AMissingTensorIsNotFoundByName) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "model.safetensors", {{"a", {{1}, {1}}}});
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_OK(checkpoint);
  const auto matcher =
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("'b'"), HasSubstr(directory.path())));
  EXPECT_THAT((*checkpoint)->Shape("b"), matcher);
  EXPECT_THAT((*checkpoint)->Read("b", kThree), matcher);
}

TEST(CheckpointTest, AnotherShapeIsRefusedWithBoth) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "model.safetensors", {{"a", {{2, 2}, {1, 2, 3, 4}}}});
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_OK(checkpoint);
  EXPECT_THAT((*checkpoint)->Read("a", kThree),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'a'"), HasSubstr("model.safetensors"),
                             HasSubstr("[2, 2]; expected [3]"))));
}

TEST(CheckpointTest, ADirectoryWithoutWeightsIsNotFound) {
  const TemporaryDirectory directory;
  EXPECT_THAT(Checkpoint::Open(directory.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("model.safetensors")));
  EXPECT_THAT(Checkpoint::Open("/nonexistent"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent")));
}

TEST(CheckpointTest, SaysWhatToDoWithPickledWeights) {
  const TemporaryDirectory directory;
  directory.Write("pytorch_model.bin", "");
  EXPECT_THAT(Checkpoint::Open(directory.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("safe_serialization=True")));
}

TEST(CheckpointTest, AShardCannotLieOutsideTheDirectory) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "one.safetensors", {{"a", {{1}, {1}}}});
  for (const char* shard : {"../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", ".",
                            "", "one.safetensors\\u0000", "..\\\\one"}) {
    directory.Write("model.safetensors.index.json",
                    absl::StrCat(R"({"weight_map": {"a": ")", shard, R"("}})"));
    EXPECT_THAT(Checkpoint::Open(directory.path()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("same directory")))
        << shard;
  }
}

TEST(CheckpointTest, AnIndexMustMatchItsShards) {
  const TemporaryDirectory directory;
  WriteTensors(directory / "one.safetensors", {{"a", {{1}, {1}}}});
  directory.Write("model.safetensors.index.json", R"({"weight_map": {"b": "one.safetensors"}})");
  EXPECT_THAT(Checkpoint::Open(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("does not have it")));
  directory.Write("model.safetensors.index.json", R"({"weight_map": {"a": "two.safetensors"}})");
  EXPECT_THAT(Checkpoint::Open(directory.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("two.safetensors")));
}

TEST(CheckpointTest, RefusesAnIndexWithoutAMap) {
  const TemporaryDirectory directory;
  for (const char* index : {"[]", "{}", R"({"weight_map": []})", R"({"weight_map": {"a": 1}})"}) {
    directory.Write("model.safetensors.index.json", index);
    EXPECT_THAT(Checkpoint::Open(directory.path()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("index.json")))
        << index;
  }
}

}  // namespace
}  // namespace reprise::engine::weights
