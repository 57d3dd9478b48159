#include "server/grpc/tensor_codec.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::grpc {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using InputTensor = inference::ModelInferRequest::InferInputTensor;
using Contents = inference::InferTensorContents;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

InputTensor Input(const std::string& datatype, const std::vector<std::int64_t>& shape) {
  InputTensor input;
  input.set_name("x");
  input.set_datatype(datatype);
  input.mutable_shape()->Add(shape.begin(), shape.end());
  return input;
}

struct TypedCase {
  std::string name;
  std::string datatype;
  std::vector<std::int64_t> shape;
  std::function<void(Contents*)> fill;
  std::string expected;  // raw bytes, or a part of the error message
};
void PrintTo(const TypedCase& c, std::ostream* out) { *out << c.name; }
std::string CaseName(const ::testing::TestParamInfo<TypedCase>& info) { return info.param.name; }

class GoodTypedTensor : public ::testing::TestWithParam<TypedCase> {};

TEST_P(GoodTypedTensor, BecomesLittleEndianBytes) {
  InputTensor input = Input(GetParam().datatype, GetParam().shape);
  GetParam().fill(input.mutable_contents());
  const auto tensor = DecodeTypedTensor(input);
  ASSERT_THAT(tensor, IsOk());
  EXPECT_EQ(tensor->name, "x");
  EXPECT_EQ(tensor->shape, GetParam().shape);
  EXPECT_EQ(tensor->raw, GetParam().expected);
}

using namespace std::string_literals;
INSTANTIATE_TEST_SUITE_P(
    Datatypes, GoodTypedTensor,
    ::testing::Values(
        TypedCase{"Bool",
                  "BOOL",
                  {2},
                  [](Contents* c) { c->add_bool_contents(true), c->add_bool_contents(false); },
                  "\1\0"s},
        TypedCase{"Int8",
                  "INT8",
                  {2},
                  [](Contents* c) { c->add_int_contents(-128), c->add_int_contents(127); },
                  "\x80\x7f"s},
        TypedCase{"Int16", "INT16", {1}, [](Contents* c) { c->add_int_contents(-2); }, "\xfe\xff"s},
        TypedCase{"Int32",
                  "INT32",
                  {1},
                  [](Contents* c) { c->add_int_contents(0x01020304); },
                  "\4\3\2\1"s},
        TypedCase{"Int64",
                  "INT64",
                  {1, 1},
                  [](Contents* c) { c->add_int64_contents(5); },
                  "\5\0\0\0\0\0\0\0"s},
        TypedCase{"Uint8", "UINT8", {1}, [](Contents* c) { c->add_uint_contents(255); }, "\xff"s},
        TypedCase{
            "Uint16", "UINT16", {1}, [](Contents* c) { c->add_uint_contents(65535); }, "\xff\xff"s},
        TypedCase{
            "Uint32", "UINT32", {1}, [](Contents* c) { c->add_uint_contents(1); }, "\1\0\0\0"s},
        TypedCase{"Uint64",
                  "UINT64",
                  {1},
                  [](Contents* c) { c->add_uint64_contents(2); },
                  "\2\0\0\0\0\0\0\0"s},
        TypedCase{
            "Fp32", "FP32", {1}, [](Contents* c) { c->add_fp32_contents(1.0f); }, "\0\0\x80\x3f"s},
        TypedCase{"Fp64",
                  "FP64",
                  {1},
                  [](Contents* c) { c->add_fp64_contents(1.0); },
                  "\0\0\0\0\0\0\xf0\x3f"s},
        TypedCase{"Scalar", "INT8", {}, [](Contents* c) { c->add_int_contents(1); }, "\1"s},
        TypedCase{"Empty", "INT64", {0, 4}, [](Contents*) {}, ""}),
    CaseName);

class BadTypedTensor : public ::testing::TestWithParam<TypedCase> {};

TEST_P(BadTypedTensor, IsInvalidArgument) {
  InputTensor input = Input(GetParam().datatype, GetParam().shape);
  GetParam().fill(input.mutable_contents());
  EXPECT_THAT(DecodeTypedTensor(input), StatusIs(kInvalid, HasSubstr(GetParam().expected)));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, BadTypedTensor,
    ::testing::Values(
        TypedCase{"UnknownDatatype", "int64", {1}, [](Contents*) {}, "unknown datatype 'int64'"},
        TypedCase{"NegativeDimension", "INT64", {-1, 2}, [](Contents*) {}, "negative dimension -1"},
        TypedCase{"OverflowingShape",
                  "INT64",
                  {1LL << 40, 1LL << 40},
                  [](Contents*) {},
                  "more elements than 64 bits"},
        TypedCase{"OverflowHiddenByAZero",
                  "INT64",
                  {1LL << 40, 0, 1LL << 40},
                  [](Contents*) {},
                  "more elements than 64 bits"},
        TypedCase{"TooFewElements",
                  "INT64",
                  {2},
                  [](Contents* c) { c->add_int64_contents(1); },
                  "found 1 elements, expected 2"},
        TypedCase{"TooManyElements",
                  "BYTES",
                  {1},
                  [](Contents* c) { c->add_bytes_contents("a"), c->add_bytes_contents("b"); },
                  "found 2 elements, expected 1"},
        TypedCase{"NoElements", "FP32", {3}, [](Contents*) {}, "found 0 elements, expected 3"},
        TypedCase{"FieldOfAnotherDatatype",
                  "INT64",
                  {1},
                  [](Contents* c) { c->add_int_contents(1); },
                  "found elements in int_contents, expected datatype INT64 in int64_contents"},
        TypedCase{"TwoFields",
                  "INT64",
                  {1},
                  [](Contents* c) { c->add_int64_contents(1), c->add_fp32_contents(1); },
                  "found elements in fp32_contents"},
        TypedCase{"Int8TooLarge",
                  "INT8",
                  {1},
                  [](Contents* c) { c->add_int_contents(128); },
                  "128 does not fit INT8"},
        TypedCase{"Int16TooSmall",
                  "INT16",
                  {1},
                  [](Contents* c) { c->add_int_contents(-32769); },
                  "-32769 does not fit INT16"},
        TypedCase{"Uint8TooLarge",
                  "UINT8",
                  {1},
                  [](Contents* c) { c->add_uint_contents(256); },
                  "256 does not fit UINT8"},
        TypedCase{"Uint16TooLarge",
                  "UINT16",
                  {1},
                  [](Contents* c) { c->add_uint_contents(65536); },
                  "65536 does not fit UINT16"},
        TypedCase{"Fp16",
                  "FP16",
                  {1},
                  [](Contents* c) { c->add_fp32_contents(1); },
                  "use raw_input_contents"},
        TypedCase{"Bf16", "BF16", {0}, [](Contents*) {}, "use raw_input_contents"}),
    CaseName);

TEST(DecodeTypedTensorTest, KeepsBytesElements) {
  InputTensor input = Input("BYTES", {2, 1});
  input.mutable_contents()->add_bytes_contents("a\0b"s);
  input.mutable_contents()->add_bytes_contents("");
  const auto tensor = DecodeTypedTensor(input);
  ASSERT_THAT(tensor, IsOk());
  EXPECT_THAT(tensor->elements, ElementsAre("a\0b"s, ""));
  EXPECT_TRUE(tensor->raw.empty());
}

TEST(DecodeRawTensorTest, TakesTheElementsFromTheBytes) {
  const auto tensor = DecodeRawTensor(Input("BF16", {1, 2}), "\x01\x02\x03\x04");
  ASSERT_THAT(tensor, IsOk());
  EXPECT_EQ(tensor->name, "x");
  EXPECT_EQ(tensor->datatype, DataType::kBf16);
  EXPECT_EQ(tensor->raw, "\x01\x02\x03\x04");
}

}  // namespace
}  // namespace reprise::server::grpc
