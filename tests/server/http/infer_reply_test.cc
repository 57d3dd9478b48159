#include "server/http/infer_reply.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"

namespace reprise::server::http {
namespace {

using namespace std::string_literals;
using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

template <typename Number>
Tensor TensorOf(DataType datatype, const std::vector<Number>& numbers, std::string name = "o") {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.datatype = datatype;
  tensor.shape = {static_cast<std::int64_t>(numbers.size())};
  tensor.raw.assign(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number));
  return tensor;
}

Tensor TextsOf(std::vector<std::string> texts) {
  Tensor tensor;
  tensor.name = "o";
  tensor.datatype = DataType::kBytes;
  tensor.shape = {static_cast<std::int64_t>(texts.size())};
  tensor.elements = std::move(texts);
  return tensor;
}

InferenceReply ReplyOf(std::vector<Tensor> outputs) {
  InferenceReply reply;
  reply.model_name = "m";
  reply.model_version = "3";
  reply.outputs = std::move(outputs);
  return reply;
}

// The text of `data` of the only output.
std::string DataOf(Tensor tensor) {
  const auto response = EncodeInfer(ReplyOf({std::move(tensor)}), {}, {}, kNoLimit);
  EXPECT_THAT(response, IsOk());
  const std::string& json = response->body.at(0);
  const std::size_t begin = json.find("\"data\":") + 7;
  return json.substr(begin, json.find('}', begin) - begin);
}

TEST(EncodeInferTest, WritesEachDatatype) {
  EXPECT_EQ(DataOf(TensorOf<std::int8_t>(DataType::kInt8, {-128, 5})), "[-128,5]");
  EXPECT_EQ(DataOf(TensorOf<std::uint8_t>(DataType::kUint8, {255})), "[255]");
  EXPECT_EQ(DataOf(TensorOf<std::int16_t>(DataType::kInt16, {-2})), "[-2]");
  EXPECT_EQ(DataOf(TensorOf<std::uint16_t>(DataType::kUint16, {65535})), "[65535]");
  EXPECT_EQ(DataOf(TensorOf<std::int32_t>(DataType::kInt32, {-3})), "[-3]");
  EXPECT_EQ(DataOf(TensorOf<std::uint32_t>(DataType::kUint32, {4294967295u})), "[4294967295]");
  EXPECT_EQ(DataOf(TensorOf<std::int64_t>(DataType::kInt64, {INT64_MIN})),
            "[-9223372036854775808]");
  EXPECT_EQ(DataOf(TensorOf<std::uint64_t>(DataType::kUint64, {UINT64_MAX})),
            "[18446744073709551615]");
  EXPECT_EQ(DataOf(TensorOf<char>(DataType::kBool, {1, 0})), "[true,false]");
  EXPECT_EQ(DataOf(TensorOf<float>(DataType::kFp32, {0.1f, 1.0f, -2.5f})), "[0.1,1,-2.5]");
  EXPECT_EQ(DataOf(TensorOf<double>(DataType::kFp64, {0.1})), "[0.1]");
  EXPECT_EQ(DataOf(TextsOf({"a", "\"\n\xc3\xa9"})), "[\"a\",\"\\\"\\n\xc3\xa9\"]");
  EXPECT_EQ(DataOf(TextsOf({})), "[]");
}

TEST(EncodeInferTest, NumbersReadBackEqual) {
  std::vector<float> values = {std::numeric_limits<float>::denorm_min(),
                               std::numeric_limits<float>::max(), 1e-10f, 16777216.0f, -0.0f};
  for (int i = 1; i < 2000; ++i) values.push_back(std::sin(static_cast<float>(i)) / i);
  const auto read = nlohmann::json::parse(DataOf(TensorOf<float>(DataType::kFp32, values)))
                        .get<std::vector<float>>();
  ASSERT_EQ(read.size(), values.size());
  EXPECT_EQ(std::memcmp(read.data(), values.data(), values.size() * sizeof(float)), 0);
}

TEST(EncodeInferTest, WritesWhatIsNotFiniteAsPythonReadsIt) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(DataOf(TensorOf<float>(DataType::kFp32, {NAN, kInfinity, -kInfinity})),
            "[NaN,Infinity,-Infinity]");
}

TEST(EncodeInferTest, NamesModelVersionAndId) {
  InferenceReply reply = ReplyOf({});
  const auto without_id = EncodeInfer(reply, {}, {}, kNoLimit);
  ASSERT_THAT(without_id, IsOk());
  EXPECT_THAT(without_id->body,
              ElementsAre(R"({"model_name":"m","model_version":"3","outputs":[]})"));
  reply.id = "\"mine\"";
  const auto with_id = EncodeInfer(reply, {}, {}, kNoLimit);
  ASSERT_THAT(with_id, IsOk());
  EXPECT_EQ(nlohmann::json::parse(with_id->body.at(0))["id"], "\"mine\"");
}

TEST(EncodeInferTest, BinaryOutputsFollowTheJson) {
  ReplyWishes wishes;
  wishes.binary_by_default = true;
  wishes.binary["b"] = false;
  const auto response =
      EncodeInfer(ReplyOf({TensorOf<char>(DataType::kInt8, {1, 2}, "a"),
                           TensorOf<char>(DataType::kInt8, {3}, "b"), TextsOf({"x"})}),
                  wishes, {}, kNoLimit);
  ASSERT_THAT(response, IsOk());
  EXPECT_THAT(response->body, ElementsAre(::testing::_, "\1\2", "\1\0\0\0x"s));
  EXPECT_EQ(response->content_type, "application/octet-stream");
  EXPECT_THAT(response->headers, ElementsAre(Pair("Inference-Header-Content-Length",
                                                  std::to_string(response->body[0].size()))));
  const auto outputs = nlohmann::json::parse(response->body[0])["outputs"];
  EXPECT_EQ(outputs[0]["parameters"]["binary_data_size"], 2);
  EXPECT_FALSE(outputs[0].contains("data"));
  EXPECT_EQ(outputs[1]["data"], nlohmann::json({3}));
  EXPECT_FALSE(outputs[1].contains("parameters"));
  EXPECT_EQ(outputs[2]["parameters"]["binary_data_size"], 5);
}

TEST(EncodeInferTest, WithoutAnyBytesTheReplyIsPlainJson) {
  ReplyWishes wishes;
  wishes.binary_by_default = true;
  const auto response =
      EncodeInfer(ReplyOf({TensorOf<float>(DataType::kFp32, {})}), wishes, {}, kNoLimit);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->content_type, "application/json");
  EXPECT_TRUE(response->headers.empty());
  EXPECT_THAT(response->body.at(0), HasSubstr("\"binary_data_size\":0"));
}

TEST(EncodeInferTest, ClassifiesWithLabels) {
  Tensor logits = TensorOf<float>(DataType::kFp32, {0.5f, 1.5f}, "logits");
  logits.shape = {1, 2};
  ReplyWishes wishes;
  wishes.classifications["logits"] = 1;
  const auto response = EncodeInfer(ReplyOf({logits}), wishes, {"no", "yes"}, kNoLimit);
  ASSERT_THAT(response, IsOk());
  const auto output = nlohmann::json::parse(response->body.at(0))["outputs"][0];
  EXPECT_EQ(output["datatype"], "BYTES");
  EXPECT_EQ(output["data"], nlohmann::json({"1.5:1:yes"}));
}

TEST(EncodeInferTest, RefusesWhatJsonCannotHold) {
  const auto half =
      EncodeInfer(ReplyOf({TensorOf<char>(DataType::kBf16, {1, 2})}), {}, {}, kNoLimit);
  EXPECT_THAT(half, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it is BF16")));
  const auto bytes = EncodeInfer(ReplyOf({TextsOf({"\xff"})}), {}, {}, kNoLimit);
  EXPECT_THAT(bytes, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
}

TEST(EncodeInferTest, RefusesAReplyThatIsTooLarge) {
  const InferenceReply reply = ReplyOf({TensorOf<float>(DataType::kFp32, {1, 2})});
  const auto size = static_cast<std::int64_t>(EncodeInfer(reply, {}, {}, kNoLimit)->body_bytes());
  EXPECT_THAT(EncodeInfer(reply, {}, {}, size), IsOk());
  EXPECT_THAT(EncodeInfer(reply, {}, {}, size - 1),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--max-send-bytes")));
}

TEST(EncodeInferTest, SaysWhereTheTimeWentWhenAsked) {
  InferenceReply reply;
  reply.model_name = "m";
  reply.model_version = "1";
  reply.timing = {.queue = std::chrono::microseconds(1500),
                  .compute = std::chrono::milliseconds(20),
                  .batch_rows = 8,
                  .batch_tokens = 900};
  ReplyWishes wishes;
  wishes.timing = true;
  const auto response = EncodeInfer(reply, wishes, {}, kNoLimit);
  ASSERT_THAT(response, IsOk());
  const auto json = nlohmann::json::parse(response->body[0]);
  EXPECT_EQ(json["parameters"], (nlohmann::json{{"reprise_queue_us", 1500},
                                                {"reprise_compute_us", 20000},
                                                {"reprise_batch_rows", 8},
                                                {"reprise_batch_tokens", 900}}));
  const auto plain = EncodeInfer(reply, {}, {}, kNoLimit);
  ASSERT_THAT(plain, IsOk());
  EXPECT_FALSE(nlohmann::json::parse(plain->body[0]).contains("parameters"));
}

}  // namespace
}  // namespace reprise::server::http
