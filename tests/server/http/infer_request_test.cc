#include "server/http/infer_request.h"

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fakes/fake_core.h"
#include "tests/status_matchers.h"

namespace reprise::server::http {
namespace {

using namespace std::string_literals;
using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

class DecodeInferTest : public ::testing::Test {
 protected:
  absl::Status Decode(const std::string& body,
                      const std::optional<std::string_view>& json_length = std::nullopt) {
    request_ = {};
    wishes_ = {};
    request_.model_name = "demo";
    return DecodeInfer(body, json_length, core_, &request_, &wishes_);
  }
  // The JSON of these inputs with `bytes` behind it.
  absl::Status DecodeWithBytes(const std::string& inputs, const std::string& bytes) {
    const std::string json = absl::StrCat(R"({"inputs":[)", inputs, "]}");
    return Decode(json + bytes, std::to_string(json.size()));
  }
  // The raw bytes of one input of this datatype and shape, or why there are none.
  absl::StatusOr<std::string> Raw(const std::string& datatype, const std::string& shape,
                                  const std::string& data) {
    const absl::Status status =
        Decode(absl::StrCat(R"({"inputs":[{"name":"x","datatype":")", datatype, R"(","shape":)",
                            shape, R"(,"data":)", data, "}]}"));
    if (!status.ok()) return status;
    return request_.inputs.at(0).raw;
  }

  server::testing::FakeCore core_;
  InferenceRequest request_;
  ReplyWishes wishes_;
};

TEST_F(DecodeInferTest, ReadsAWholeRequest) {
  ASSERT_THAT(Decode(R"({"model_name":"ignored","id":"a","parameters":{"truncate":true,
      "priority":3,"timeout":1000000,"binary_data_output":true,"mine":"yes"},
      "inputs":[{"name":"ids","shape":[1,2],"datatype":"INT64","data":[7,8],"parameters":{}},
                {"name":"text","shape":[2],"datatype":"BYTES","data":["a","\u00e9"]}],
      "outputs":[{"name":"o"},{"name":"p","parameters":{"binary_data":false}},
                 {"name":"logits","parameters":{"classification":2}}]})"),
              IsOk());
  EXPECT_EQ(request_.model_name, "demo");
  EXPECT_EQ(request_.id, "a");
  EXPECT_TRUE(request_.truncate);
  EXPECT_EQ(request_.priority, 3);
  EXPECT_EQ(request_.deadline, request_.arrival + std::chrono::seconds(1));
  EXPECT_THAT(request_.output_names, ElementsAre("o", "p", "logits"));
  ASSERT_EQ(request_.inputs.size(), 2u);
  EXPECT_EQ(request_.inputs[0].raw, "\7\0\0\0\0\0\0\0\x8\0\0\0\0\0\0\0"s);
  EXPECT_THAT(request_.inputs[0].shape, ElementsAre(1, 2));
  EXPECT_THAT(request_.inputs[1].elements, ElementsAre("a", "\xc3\xa9"));
  EXPECT_TRUE(wishes_.binary_by_default);
  EXPECT_THAT(wishes_.binary, ElementsAre(Pair("p", false)));
  EXPECT_THAT(wishes_.classifications, ElementsAre(Pair("logits", 2)));
}

TEST_F(DecodeInferTest, WritesEachDatatypeAsItsBytes) {
  EXPECT_EQ(*Raw("BOOL", "[2]", "[true,false]"), "\1\0"s);
  EXPECT_EQ(*Raw("INT8", "[2]", "[-128,127]"), "\x80\x7f"s);
  EXPECT_EQ(*Raw("INT16", "[1]", "[-2]"), "\xfe\xff"s);
  EXPECT_EQ(*Raw("INT32", "[1]", "[16909060]"), "\4\3\2\1"s);
  EXPECT_EQ(*Raw("UINT8", "[1]", "[255]"), "\xff"s);
  EXPECT_EQ(*Raw("UINT16", "[1]", "[65535]"), "\xff\xff"s);
  EXPECT_EQ(*Raw("UINT32", "[1]", "[1]"), "\1\0\0\0"s);
  EXPECT_EQ(*Raw("UINT64", "[1]", "[18446744073709551615]"), "\xff\xff\xff\xff\xff\xff\xff\xff"s);
  EXPECT_EQ(*Raw("FP32", "[2]", "[1,0.1]"), "\0\0\x80\x3f\xcd\xcc\xcc\x3d"s);
  EXPECT_EQ(*Raw("FP64", "[1]", "[1]"), "\0\0\0\0\0\0\xf0\x3f"s);
  EXPECT_EQ(*Raw("FP64", "[1]", "[18446744073709551615]"), "\0\0\0\0\0\0\xf0\x43"s);
  EXPECT_EQ(*Raw("INT64", "[0,4]", "[]"), "");
  EXPECT_EQ(*Raw("INT8", "[]", "[5]"), "\5");
}

TEST_F(DecodeInferTest, ListsMayBeNestedAsTheShapeSays) {
  const auto flat = Raw("INT8", "[2,1,3]", "[1,2,3,4,5,6]");
  ASSERT_THAT(flat, IsOk());
  EXPECT_EQ(*Raw("INT8", "[2,1,3]", "[[[1,2,3]],[[4,5,6]]]"), *flat);
  EXPECT_THAT(Raw("INT8", "[2,0]", "[[],[]]"), IsOk());
  for (const char* data : {"[[1,2,3],[4,5,6]]", "[[[1,2]],[[3,4]],[[5,6]]]", "[1,2,3,[4,5,6]]"}) {
    EXPECT_THAT(Raw("INT8", "[2,1,3]", data), StatusIs(kInvalid, HasSubstr("the lists in `data`")))
        << data;
  }
  EXPECT_THAT(Raw("INT8", "[2,2]", "[[1,2,3],[4]]"),
              StatusIs(kInvalid, HasSubstr("of uneven length")));
}

struct BadBody {
  std::string name;
  std::string body;
  std::string complaint;
  absl::StatusCode code = kInvalid;
};
void PrintTo(const BadBody& c, std::ostream* out) { *out << c.name; }

class BadBodyTest : public DecodeInferTest, public ::testing::WithParamInterface<BadBody> {};

TEST_P(BadBodyTest, IsRefused) {
  EXPECT_THAT(Decode(GetParam().body), StatusIs(GetParam().code, HasSubstr(GetParam().complaint)));
}

std::string Input(const std::string& rest) {
  return absl::StrCat(R"({"inputs":[{"name":"x",)", rest, "}]}");
}
const char kTwoInputs[] = R"({"inputs":[{"name":"x","datatype":"INT8","shape":[0],"data":[]},
                                        {"name":"x","datatype":"INT8","shape":[0],"data":[]}]})";

INSTANTIATE_TEST_SUITE_P(
    Rules, BadBodyTest,
    ::testing::Values(
        BadBody{"NotJson", "{", "not valid JSON"},
        BadBody{"NotAnObject", "[]", "the request: found []"},
        BadBody{"IdOfAnotherKind", R"({"id":5})", "id: found 5"},
        BadBody{"InputsOfAnotherKind", R"({"inputs":{}})", "inputs: found {}"},
        BadBody{"InputOfAnotherKind", R"({"inputs":[5]})", "inputs: found 5"},
        BadBody{"OutputsOfAnotherKind", R"({"outputs":5})", "outputs: found 5"},
        BadBody{"OutputWithoutName", R"({"outputs":[{}]})", "outputs: name: found null"},
        BadBody{"OutputTwice", R"({"outputs":[{"name":"o"},{"name":"o"}]})", "asked for twice"},
        BadBody{"ParametersOfAnotherKind", R"({"parameters":[]})", "parameters: found []"},
        BadBody{"ParameterOfAnotherKind", R"({"parameters":{"a":{}}})", "parameter 'a': found {}"},
        BadBody{"NegativeTimeout", R"({"parameters":{"timeout":-1}})", "'timeout'"},
        BadBody{"FractionalPriority", R"({"parameters":{"priority":1.5}})", "'priority'"},
        BadBody{"TruncateAsText", R"({"parameters":{"truncate":"yes"}})", "'truncate'"},
        BadBody{"ReservedParameter", R"({"parameters":{"triton_x":1}})", "'triton_x' is reserved"},
        BadBody{"BinaryOutputAsNumber", R"({"parameters":{"binary_data_output":1}})",
                "'binary_data_output': expected true or false"},
        BadBody{"BinaryDataAsNumber",
                R"({"outputs":[{"name":"o","parameters":{"binary_data":1}}]})",
                "'binary_data': expected true or false"},
        BadBody{"NoClasses", R"({"outputs":[{"name":"o","parameters":{"classification":0}}]})",
                "at least 1"},
        BadBody{"SharedMemory",
                R"({"outputs":[{"name":"o","parameters":{"shared_memory_region":"r"}}]})",
                "shared memory", absl::StatusCode::kUnimplemented},
        BadBody{"InputWithoutName", R"({"inputs":[{"datatype":"INT8"}]})", "name: found null"},
        BadBody{"InputTwice", kTwoInputs, "given twice"},
        BadBody{"NoDatatype", Input(R"("shape":[1])"), "'x': datatype: found null"},
        BadBody{"UnknownDatatype", Input(R"("datatype":"int64","shape":[1],"data":[1])"),
                "unknown datatype 'int64'"},
        BadBody{"NoShape", Input(R"("datatype":"INT8","data":[1])"), "shape: found null"},
        BadBody{"ShapeOfTexts", Input(R"("datatype":"INT8","shape":["1"])"), "array of integers"},
        BadBody{"FractionalShape", Input(R"("datatype":"INT8","shape":[1.5])"),
                "array of integers"},
        BadBody{"HugeShape", Input(R"("datatype":"INT8","shape":[9223372036854775808])"),
                "array of integers"},
        BadBody{"NegativeShape", Input(R"("datatype":"INT8","shape":[-1],"data":[1])"),
                "negative dimension"},
        BadBody{"OverflowingShape",
                Input(R"("datatype":"INT8","shape":[4294967296,4294967296],"data":[])"),
                "more elements than 64 bits"},
        BadBody{"NoData", Input(R"("datatype":"INT8","shape":[1])"), "found neither"},
        BadBody{"DataOfAnotherKind", Input(R"("datatype":"INT8","shape":[1],"data":"a")"),
                "data: found \"a\""},
        BadBody{"DataAsNumber", Input(R"("datatype":"INT8","shape":[1],"data":0)"),
                "data: found 0"},
        BadBody{"TooFewElements", Input(R"("datatype":"INT8","shape":[3],"data":[1,2])"),
                "found 2 elements, expected 3"},
        BadBody{"TooManyElements", Input(R"("datatype":"BYTES","shape":[1],"data":["a","b"])"),
                "found 2 elements, expected 1"},
        BadBody{"NoElements", Input(R"("datatype":"FP32","shape":[1],"data":[])"), "0 bytes"},
        BadBody{"IntegerOutOfRange", Input(R"("datatype":"INT8","shape":[1],"data":[128])"),
                "128 does not fit INT8"},
        BadBody{"NegativeUnsigned", Input(R"("datatype":"UINT64","shape":[1],"data":[-1])"),
                "-1 does not fit UINT64"},
        BadBody{"BeyondInt64",
                Input(R"("datatype":"INT64","shape":[1],"data":[9223372036854775808])"),
                "9223372036854775808 does not fit INT64"},
        BadBody{"FractionForInteger", Input(R"("datatype":"INT64","shape":[1],"data":[1.0])"),
                "expected integers for INT64"},
        BadBody{"TextForInteger", Input(R"("datatype":"INT64","shape":[1],"data":["1"])"),
                "holds strings, expected integers"},
        BadBody{"NumberForText", Input(R"("datatype":"BYTES","shape":[1],"data":[1])"),
                "holds integers, expected strings"},
        BadBody{"NumberForBool", Input(R"("datatype":"BOOL","shape":[1],"data":[1])"),
                "expected true or false"},
        BadBody{"BeyondFloat", Input(R"("datatype":"FP32","shape":[1],"data":[1e39])"),
                "does not fit FP32"},
        BadBody{"HalfPrecision", Input(R"("datatype":"FP16","shape":[1],"data":[1.0])"),
                "send it as binary data"},
        BadBody{"BytesThatAreNotThere",
                Input(R"("datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1})"),
                "only 0 bytes are left"},
        BadBody{"NegativeBytes",
                Input(R"("datatype":"INT8","shape":[1],"parameters":{"binary_data_size":-1})"),
                "expected an integer >= 0"},
        BadBody{
            "DataAndBytes",
            Input(R"("datatype":"INT8","shape":[0],"data":[],"parameters":{"binary_data_size":0})"),
            "both `data` and binary_data_size"}),
    [](const auto& info) { return info.param.name; });

TEST_F(DecodeInferTest, BytesBehindTheJsonBelongToInputsInTheirOrder) {
  ASSERT_THAT(
      DecodeWithBytes(
          R"({"name":"a","datatype":"INT16","shape":[2],"parameters":{"binary_data_size":4}},
             {"name":"b","datatype":"INT8","shape":[1],"data":[9]},
             {"name":"c","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}})",
          "\1\2\3\4\1\0\0\0x"s),
      IsOk());
  EXPECT_EQ(request_.inputs[0].raw, "\1\2\3\4");
  EXPECT_EQ(request_.inputs[1].raw, "\x9");
  EXPECT_THAT(request_.inputs[2].elements, ElementsAre("x"));
}

TEST_F(DecodeInferTest, BytesMustBeThereAndBelongToAnInput) {
  const std::string input =
      R"({"name":"a","datatype":"INT8","shape":[2],"parameters":{"binary_data_size":2}})";
  EXPECT_THAT(DecodeWithBytes(input, "ab"), IsOk());
  EXPECT_THAT(DecodeWithBytes(input, "a"), StatusIs(kInvalid, HasSubstr("only 1 bytes are left")));
  EXPECT_THAT(DecodeWithBytes(input, "abc"),
              StatusIs(kInvalid, HasSubstr("found 1 bytes behind the JSON")));
  EXPECT_THAT(
      DecodeWithBytes(
          R"({"name":"a","datatype":"INT8","shape":[3],"parameters":{"binary_data_size":2}})",
          "ab"),
      StatusIs(kInvalid, HasSubstr("raw contents have 2 bytes")));
}

TEST_F(DecodeInferTest, TheLengthOfTheJsonLiesWithinTheBody) {
  for (const char* length : {"3", "-1", "", "1x", " 2", "18446744073709551616", "2, 2"}) {
    EXPECT_THAT(Decode("{}", length), StatusIs(kInvalid, HasSubstr("Content-Length"))) << length;
  }
  EXPECT_THAT(Decode("{}", "2"), IsOk());
  EXPECT_THAT(Decode("{}", "1"), StatusIs(kInvalid, HasSubstr("not valid JSON")));
}

TEST_F(DecodeInferTest, ABodyWithoutJsonIsTheOnlyInput) {
  core_.description().inputs = {{"input_ids", DataType::kInt64, {-1, -1}, false},
                                {"attention_mask", DataType::kInt64, {-1, -1}, true}};
  ASSERT_THAT(Decode(std::string(24, '\1'), "0"), IsOk());
  ASSERT_EQ(request_.inputs.size(), 1u);
  EXPECT_EQ(request_.inputs[0].name, "input_ids");
  EXPECT_THAT(request_.inputs[0].shape, ElementsAre(1, 3));
  EXPECT_TRUE(wishes_.binary_by_default);
  EXPECT_THAT(Decode("12345", "0"), StatusIs(kInvalid, HasSubstr("raw contents have 5 bytes")));
}

TEST_F(DecodeInferTest, ABodyWithoutJsonIsOneText) {
  core_.description().inputs = {{"text", DataType::kBytes, {-1, 1}, false}};
  ASSERT_THAT(Decode("a text", "0"), IsOk());
  EXPECT_THAT(request_.inputs.at(0).elements, ElementsAre("a text"));
  EXPECT_THAT(request_.inputs.at(0).shape, ElementsAre(1));
}

TEST_F(DecodeInferTest, ABodyWithoutJsonNeedsAModelWithOneInput) {
  EXPECT_THAT(Decode("a text", "0"), StatusIs(kInvalid, HasSubstr("takes its choice of several")));
  core_.description().inputs = {{"image", DataType::kFp32, {-1, -1, -1}, false}};
  EXPECT_THAT(Decode("1234", "0"), StatusIs(kInvalid, HasSubstr("more than one dimension")));
  request_.model_name = "other";
  EXPECT_THAT(DecodeInfer("1234", "0", core_, &request_, &wishes_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("unknown model")));
}

}  // namespace
}  // namespace reprise::server::http
