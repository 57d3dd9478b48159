#include "server/pipeline/model_inputs.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"

namespace reprise::server::pipeline {
namespace {

using ::reprise::server::testing::Int64Tensor;
using ::reprise::server::testing::TextTensor;
using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

InputRules Rules() {
  return {.model_name = "mini",
          .vocab_size = 100,
          .type_vocab_size = 2,
          .max_sequence_tokens = 8,
          .max_text_tokens = 5,
          .max_text_bytes = 64,
          .max_batch_size = 4,
          .max_batch_tokens = 12,
          .accepts_text = true};
}

absl::StatusOr<PackedRows> Read(const std::vector<Tensor>& inputs, const InputRules& rules) {
  const absl::StatusOr<NamedInputs> named = NameInputs(inputs, rules);
  if (!named.ok()) return named.status();
  return PackIds(*named, rules);
}

Tensor Ids(std::vector<std::int64_t> shape, const std::vector<std::int64_t>& values) {
  return Int64Tensor("input_ids", std::move(shape), values);
}
Tensor Mask(std::vector<std::int64_t> shape, const std::vector<std::int64_t>& values) {
  return Int64Tensor("attention_mask", std::move(shape), values);
}
Tensor Types(std::vector<std::int64_t> shape, const std::vector<std::int64_t>& values) {
  return Int64Tensor("token_type_ids", std::move(shape), values);
}

TEST(ModelInputs, WithoutMaskEveryColumnIsReal) {
  const auto packed = Read({Ids({2, 2}, {5, 6, 7, 8})}, Rules());
  ASSERT_OK(packed);
  EXPECT_THAT(packed->cu_seqlens, ElementsAre(0, 2, 4));
  EXPECT_THAT(packed->input_ids, ElementsAre(5, 6, 7, 8));
  EXPECT_THAT(packed->token_type_ids, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(packed->position_ids, ElementsAre(0, 1, 0, 1));
  EXPECT_EQ(packed->padded_len, 2);
}

TEST(ModelInputs, MaskedColumnsAreDroppedAndPositionsKept) {
  const auto packed =
      Read({Mask({2, 4}, {0, 1, 0, 1, 1, 0, 0, 0}), Types({2, 4}, {9, 1, 9, 0, 1, 9, 9, 9}),
            Ids({2, 4}, {-1, 11, 999, 12, 13, 0, 0, 0})},
           Rules());
  ASSERT_OK(packed);  // what stands in masked columns is nobody's business
  EXPECT_THAT(packed->cu_seqlens, ElementsAre(0, 2, 3));
  EXPECT_THAT(packed->input_ids, ElementsAre(11, 12, 13));
  EXPECT_THAT(packed->token_type_ids, ElementsAre(1, 0, 1));
  EXPECT_THAT(packed->position_ids, ElementsAre(1, 3, 0));
  EXPECT_EQ(packed->padded_len, 4);
}

TEST(ModelInputs, TokensAreCountedWithoutPadding) {
  std::vector<std::int64_t> ids(4 * 8, 1);
  std::vector<std::int64_t> mask(4 * 8, 0);
  for (int row = 0; row < 4; ++row) mask[row * 8] = 1;
  EXPECT_OK(Read({Ids({4, 8}, ids), Mask({4, 8}, mask)}, Rules()));
}

struct BadCase {
  std::string name;
  std::vector<Tensor> inputs;
  std::string message;
};

Tensor With(Tensor tensor, DataType datatype) {
  tensor.datatype = datatype;
  return tensor;
}
Tensor Named(Tensor tensor, std::string name) {
  tensor.name = std::move(name);
  return tensor;
}

std::vector<BadCase> BadCases() {
  const Tensor ids = Ids({1, 2}, {1, 2});
  Tensor short_raw = ids;
  short_raw.raw.resize(15);
  Tensor missing_element = TextTensor({2}, {"a"});
  return {
      {"Nothing", {}, "exactly one of the inputs 'input_ids' and 'text'; neither is given"},
      {"OnlyMask", {Mask({1, 2}, {1, 1})}, "neither is given"},
      {"Both", {ids, TextTensor({1}, {"a"})}, "both are given"},
      {"Unknown", {ids, Named(ids, "ids")}, "unknown input 'ids'; expected input_ids"},
      {"Duplicate", {ids, ids}, "input 'input_ids' is given twice"},
      {"MaskWithText",
       {TextTensor({1}, {"a"}), Mask({1, 1}, {1})},
       "input 'attention_mask' belongs to input_ids"},
      {"TypesWithText",
       {TextTensor({1}, {"a"}), Types({1, 1}, {1})},
       "input 'token_type_ids' belongs to input_ids"},
      {"Int32Ids", {With(ids, DataType::kInt32)}, "has datatype INT32; expected INT64"},
      {"FloatMask",
       {ids, With(Mask({1, 2}, {1, 1}), DataType::kFp32)},
       "input 'attention_mask' has datatype FP32; expected INT64"},
      {"IdsAsText",
       {With(TextTensor({1}, {"a"}), DataType::kInt64)},
       "input 'text' has datatype INT64; expected BYTES"},
      {"ScalarIds", {Ids({}, {1})}, "shape []; expected [rows, columns]"},
      {"VectorIds", {Ids({2}, {1, 2})}, "shape [2]; expected [rows, columns]"},
      {"CubeIds", {Ids({1, 1, 2}, {1, 2})}, "shape [1,1,2]"},
      {"NoRow", {Ids({0, 2}, {})}, "has 0 rows (shape [0,2]); expected 1 to 4"},
      {"NegativeRows", {Ids({-1, 2}, {})}, "has -1 rows"},
      {"TooManyRows", {Ids({5, 1}, {1, 1, 1, 1, 1})}, "has 5 rows (shape [5,1]); expected 1 to 4"},
      {"HugeRows", {Ids({std::int64_t{1} << 62, 8}, {})}, "rows"},
      {"NoColumn", {Ids({1, 0}, {})}, "has 0 columns (shape [1,0]); expected 1 to 8"},
      {"TooManyColumns",
       {Ids({1, 9}, std::vector<std::int64_t>(9, 1))},
       "has 9 columns (shape [1,9]); expected 1 to 8"},
      {"HugeColumns", {Ids({4, std::int64_t{1} << 62}, {})}, "columns"},
      {"ShortRaw", {short_raw}, "holds 15 bytes; expected 16"},
      {"MaskShape",
       {ids, Mask({2, 1}, {1, 1})},
       "'attention_mask' has shape [2,1]; expected [1,2] as input_ids has"},
      {"TypesShape", {ids, Types({1, 1}, {1})}, "'token_type_ids' has shape [1,1]; expected [1,2]"},
      {"MaskTwo",
       {ids, Mask({1, 2}, {1, 2})},
       "'attention_mask' has 2 at row 0, column 1; expected 0 to 1"},
      {"MaskNegative", {ids, Mask({1, 2}, {-1, 1})}, "has -1 at row 0, column 0"},
      {"EmptyRow",
       {Ids({2, 2}, {1, 2, 3, 4}), Mask({2, 2}, {1, 1, 0, 0})},
       "'attention_mask' is 0 in all of row 1"},
      {"IdTooLarge",
       {Ids({1, 2}, {1, 100})},
       "'input_ids' has 100 at row 0, column 1; expected 0 to 99"},
      {"IdNegative", {Ids({1, 2}, {1, -7})}, "has -7"},
      {"IdBeyond32Bits", {Ids({1, 1}, {(std::int64_t{1} << 32) + 1})}, "has 4294967297"},
      {"TypeTooLarge",
       {ids, Types({1, 2}, {0, 2})},
       "'token_type_ids' has 2 at row 0, column 1; expected 0 to 1"},
      {"TooManyTokens",
       {Ids({2, 8}, std::vector<std::int64_t>(16, 1))},
       "more than 12 tokens, the largest batch (max_batch_tokens)"},
      {"TextScalar", {TextTensor({}, {"a"})}, "shape []; expected [rows] or [rows,1]"},
      {"TextTwoColumns",
       {TextTensor({1, 2}, {"a", "b"})},
       "shape [1,2]; expected [rows] or [rows,1]"},
      {"TextNoRow", {TextTensor({0}, {})}, "has 0 rows"},
      {"TextTooManyRows", {TextTensor({5}, {"a", "b", "c", "d", "e"})}, "has 5 rows"},
      {"TextMissingElement", {missing_element}, "holds 1 elements; expected 2"},
      {"TextTooLong",
       {TextTensor({2, 1}, {"a", std::string(65, 'x')})},
       "row 1 is 65 bytes long; expected at most 64"},
  };
}

class BadInputTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadInputTest, IsInvalidArgumentThatNamesModelAndFault) {
  EXPECT_THAT(Read(GetParam().inputs, Rules()),
              StatusIs(kInvalid, AllOf(HasSubstr("model 'mini'"), HasSubstr(GetParam().message))));
}

INSTANTIATE_TEST_SUITE_P(ModelInputs, BadInputTest, ::testing::ValuesIn(BadCases()),
                         [](const auto& info) { return info.param.name; });

TEST(ModelInputs, TextWithoutTokenizerIsRefused) {
  InputRules rules = Rules();
  rules.accepts_text = false;
  EXPECT_THAT(NameInputs(std::vector<Tensor>{TextTensor({1}, {"a"})}, rules),
              StatusIs(kInvalid, HasSubstr("no tokenizer.json")));
  EXPECT_THAT(NameInputs({}, rules), StatusIs(kInvalid, HasSubstr("'input_ids' is missing")));
}

TEST(ModelInputs, TextIsAVectorOrAColumn) {
  EXPECT_OK(NameInputs(std::vector<Tensor>{TextTensor({2}, {"a", "b"})}, Rules()));
  EXPECT_OK(NameInputs(std::vector<Tensor>{TextTensor({2, 1}, {"a", ""})}, Rules()));
}

TEST(ModelInputs, ByteSizeCountsRawAndElements) {
  EXPECT_EQ(ByteSize(std::vector<Tensor>{Ids({1, 2}, {1, 2}), TextTensor({2}, {"ab", "c"})}), 19);
}

// One token per byte, the byte's value; the letter 'T' has type 5.
absl::StatusOr<Encoding> EncodeBytes(std::string_view text, std::size_t max_tokens) {
  if (text.starts_with('\xff')) return absl::InvalidArgumentError("is not UTF-8");
  Encoding encoding;
  for (const char c : text) {
    if (max_tokens != 0 && encoding.ids.size() == max_tokens) break;
    encoding.ids.push_back(c);
    encoding.type_ids.push_back(c == 'T' ? 5 : 0);
  }
  return encoding;
}

TEST(AppendText, RowsArePaddedToTheLongest) {
  PackedRows packed;
  ASSERT_OK(AppendText("\x01\x02\x03", false, EncodeBytes, Rules(), &packed));
  ASSERT_OK(AppendText("\x04", false, EncodeBytes, Rules(), &packed));
  EXPECT_THAT(packed.cu_seqlens, ElementsAre(0, 3, 4));
  EXPECT_THAT(packed.input_ids, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(packed.position_ids, ElementsAre(0, 1, 2, 0));
  EXPECT_EQ(packed.padded_len, 3);
}

TEST(AppendText, TooManyTokensAreRefusedUnlessTruncated) {
  PackedRows packed;
  EXPECT_THAT(AppendText("AAAAAA", false, EncodeBytes, Rules(), &packed),
              StatusIs(kInvalid, AllOf(HasSubstr("row 0 has 6 tokens"), HasSubstr("at most 5"),
                                       HasSubstr("'truncate'"))));
  ASSERT_OK(AppendText("AAAAAA", true, EncodeBytes, Rules(), &packed));
  EXPECT_EQ(packed.tokens(), 5);
}

TEST(AppendText, FaultsNameTheRow) {
  PackedRows packed;
  ASSERT_OK(AppendText("A", false, EncodeBytes, Rules(), &packed));
  EXPECT_THAT(AppendText("\xff", false, EncodeBytes, Rules(), &packed),
              StatusIs(kInvalid, HasSubstr("row 1: is not UTF-8")));
  EXPECT_THAT(AppendText("", false, EncodeBytes, Rules(), &packed),
              StatusIs(kInvalid, HasSubstr("row 1 has no token")));
  EXPECT_THAT(AppendText("z", false, EncodeBytes, Rules(), &packed),
              StatusIs(kInvalid, HasSubstr("has 122 at row 1")));
  PackedRows other;
  EXPECT_THAT(AppendText("T", false, EncodeBytes, Rules(), &other),
              StatusIs(kInvalid, HasSubstr("has 5 at row 0")));
}

TEST(AppendText, TokensOfAllRowsTogetherAreBounded) {
  PackedRows packed;
  ASSERT_OK(AppendText("AAAAA", false, EncodeBytes, Rules(), &packed));
  ASSERT_OK(AppendText("AAAAA", false, EncodeBytes, Rules(), &packed));
  EXPECT_THAT(AppendText("AAAAA", false, EncodeBytes, Rules(), &packed),
              StatusIs(kInvalid, HasSubstr("more than 12 tokens")));
}

}  // namespace
}  // namespace reprise::server::pipeline
