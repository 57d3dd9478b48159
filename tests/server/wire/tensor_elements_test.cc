#include "server/wire/tensor_elements.h"

#include <cstdint>
#include <string>
#include <vector>

#include "engine/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::wire {
namespace {

using namespace std::string_literals;
using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<Tensor> Store(const std::string& datatype, const std::vector<std::int64_t>& shape,
                             const std::string& raw) {
  REPRISE_ASSIGN_OR_RETURN(TensorLayout layout, ReadLayout("x", datatype, shape));
  return StoreRaw(std::move(layout), raw);
}

template <typename Element, typename Number>
absl::StatusOr<Tensor> StoreAs(const std::string& datatype, const std::vector<Number>& numbers) {
  REPRISE_ASSIGN_OR_RETURN(TensorLayout layout,
                           ReadLayout("x", datatype, {static_cast<std::int64_t>(numbers.size())}));
  return StoreNumbers<Element>(std::move(layout), numbers);
}

std::string Framed(const std::vector<std::string>& elements) {
  std::string raw;
  for (const std::string& element : elements) {
    for (int shift = 0; shift < 32; shift += 8) {
      raw.push_back(static_cast<char>(element.size() >> shift & 0xFF));
    }
    raw += element;
  }
  return raw;
}

TEST(StoreRawTest, KeepsNumbersAsTheyAre) {
  const auto tensor = Store("BF16", {1, 2}, "\x01\x02\x03\x04");
  ASSERT_THAT(tensor, IsOk());
  EXPECT_EQ(tensor->datatype, DataType::kBf16);
  EXPECT_EQ(tensor->raw, "\x01\x02\x03\x04");
}

TEST(StoreRawTest, SplitsBytesElements) {
  const auto tensor = Store("BYTES", {3}, Framed({"one", "", "t\0o"s}));
  ASSERT_THAT(tensor, IsOk());
  EXPECT_THAT(tensor->elements, ElementsAre("one", "", "t\0o"s));
  EXPECT_TRUE(tensor->raw.empty());
}

TEST(StoreRawTest, AcceptsBytesWithoutElements) {
  const auto tensor = Store("BYTES", {0, 1}, "");
  ASSERT_THAT(tensor, IsOk());
  EXPECT_TRUE(tensor->elements.empty());
}

struct RawCase {
  std::string name;
  std::string datatype;
  std::vector<std::int64_t> shape;
  std::string raw;
  std::string complaint;
};
void PrintTo(const RawCase& c, std::ostream* out) { *out << c.name; }

class BadRawTensor : public ::testing::TestWithParam<RawCase> {};

TEST_P(BadRawTensor, IsInvalidArgument) {
  const RawCase& c = GetParam();
  EXPECT_THAT(Store(c.datatype, c.shape, c.raw), StatusIs(kInvalid, HasSubstr(c.complaint)));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, BadRawTensor,
    ::testing::Values(
        RawCase{"TooShort", "INT64", {1, 2}, std::string(15, 'x'), "have 15 bytes"},
        RawCase{"TooLong", "INT64", {1, 2}, std::string(17, 'x'), "have 17 bytes"},
        RawCase{"SizeOverflows", "FP64", {1LL << 61}, "", "have 0 bytes"},
        RawCase{"ShapeOverflows", "FP64", {1LL << 62, 4}, "", "more elements than 64 bits"},
        RawCase{"NegativeDimension", "FP32", {-1}, "", "negative dimension"},
        RawCase{"BoolOfTwo", "BOOL", {1}, "\2", "must be 0 or 1"},
        RawCase{"LengthCutOff", "BYTES", {1}, "\1\0\0"s, "end within the length of element 0"},
        RawCase{"LengthBeyondTheEnd", "BYTES", {1}, "\4\0\0\0abc"s, "element 0 claims 4 bytes"},
        RawCase{"HugeLength", "BYTES", {1}, "\xff\xff\xff\xff"s, "claims 4294967295 bytes"},
        RawCase{"TooManyElements", "BYTES", {1}, Framed({"a", "b"}), "more than the 1 elements"},
        RawCase{"TooFewElements", "BYTES", {3}, Framed({"a", "b"}), "found 2 elements, expected 3"},
        RawCase{"HugeCount", "BYTES", {1LL << 50}, Framed({"a"}), "found 1 elements"}),
    [](const auto& info) { return info.param.name; });

TEST(ToRawTest, ReadsBackEqual) {
  Tensor tensor;
  tensor.datatype = DataType::kBytes;
  tensor.shape = {3};
  tensor.elements = {"a", "", "long enough not to be small"};
  const auto raw = ToRaw(tensor);
  ASSERT_THAT(raw, IsOk());
  const auto back = Store("BYTES", {3}, *raw);
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->elements, tensor.elements);
}

TEST(ToRawTest, HandsNumbersOverUnchanged) {
  Tensor tensor;
  tensor.shape = {1};
  tensor.raw = "\1\2\3\4";
  EXPECT_EQ(*ToRaw(tensor), "\1\2\3\4");
}

TEST(StoreNumbersTest, RefusesWhatTheDatatypeCannotHold) {
  using Signed = std::vector<std::int64_t>;
  using Unsigned = std::vector<std::uint64_t>;
  const auto refused = StatusIs(kInvalid, HasSubstr("does not fit"));
  EXPECT_THAT((StoreAs<std::int8_t>("INT8", Signed{-128, 127})), IsOk());
  EXPECT_THAT((StoreAs<std::int8_t>("INT8", Signed{128})), refused);
  EXPECT_THAT((StoreAs<std::uint32_t>("UINT32", Signed{-1})), refused);
  EXPECT_THAT((StoreAs<std::uint64_t>("UINT64", Signed{-1})), refused);
  EXPECT_THAT((StoreAs<std::int64_t>("INT64", Unsigned{1ULL << 63})), refused);
  EXPECT_THAT((StoreAs<bool>("BOOL", Signed{0, 1})), IsOk());
  EXPECT_THAT((StoreAs<bool>("BOOL", Signed{2})), refused);
}

TEST(StoreTextsTest, CountsThem) {
  EXPECT_THAT(StoreTexts(*ReadLayout("x", "BYTES", {2}), {"a", "b"}), IsOk());
  EXPECT_THAT(StoreTexts(*ReadLayout("x", "BYTES", {2}), {"a"}),
              StatusIs(kInvalid, HasSubstr("found 1 elements, expected 2")));
}

}  // namespace
}  // namespace reprise::server::wire
