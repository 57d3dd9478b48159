#include "engine/weights/safetensors_header.h"

#include <random>
#include <string>

#include "gtest/gtest.h"
#include "tests/engine/weights/safetensors_bytes.h"
#include "tests/status_matchers.h"

namespace reprise::engine::weights {
namespace {

using ::reprise::testing::AsBytes;
using ::reprise::testing::SafetensorsBytes;
using ::reprise::testing::StatusIs;
using ::reprise::testing::ThreeFloats;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kGood[] = R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})";

absl::StatusOr<SafetensorsHeader> Parse(const std::string& bytes) {
  return ParseSafetensorsHeader(AsBytes(bytes), "m.safetensors");
}

// One tensor described by `fields`, with 12 bytes of data.
absl::StatusOr<SafetensorsHeader> ParseTensor(const std::string& fields) {
  return Parse(SafetensorsBytes("{\"a\":" + fields + "}", ThreeFloats()));
}

void ExpectRefused(const absl::StatusOr<SafetensorsHeader>& header, const std::string& substring) {
  EXPECT_THAT(header, StatusIs(absl::StatusCode::kInvalidArgument,
                               AllOf(HasSubstr("m.safetensors"), HasSubstr(substring))));
}

TEST(SafetensorsHeaderTest, ReadsNameTypeShapeAndPlace) {
  const auto header = Parse(SafetensorsBytes(kGood, ThreeFloats()));
  ASSERT_OK(header);
  ASSERT_THAT(header->tensors, SizeIs(1));
  const StoredTensor& tensor = header->tensors.at("a");
  EXPECT_EQ(tensor.dtype, "F32");
  EXPECT_THAT(tensor.shape, ElementsAre(3));
  EXPECT_EQ(tensor.begin, 0u);
  EXPECT_EQ(tensor.end, 12u);
  EXPECT_EQ(header->data_begin, 8 + sizeof(kGood) - 1);
}

TEST(SafetensorsHeaderTest, ReadsMetadata) {
  const auto header = Parse(SafetensorsBytes(R"({"__metadata__":{"format":"pt"}})", ""));
  ASSERT_OK(header);
  EXPECT_EQ(header->metadata.at("format"), "pt");
  EXPECT_THAT(header->tensors, IsEmpty());
}

TEST(SafetensorsHeaderTest, TakesAHeaderPaddedWithSpaces) {
  EXPECT_OK(Parse(SafetensorsBytes(std::string(kGood) + "   ", ThreeFloats())));
}

TEST(SafetensorsHeaderTest, TakesTensorsInAnyOrderOfTheData) {
  EXPECT_OK(Parse(SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
                                   R"("b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
                                   ThreeFloats())));
}

TEST(SafetensorsHeaderTest, TakesEmptyTensors) {
  EXPECT_OK(Parse(SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
                                   R"("b":{"dtype":"F32","shape":[0,7],"data_offsets":[12,12]}})",
                                   ThreeFloats())));
}

TEST(SafetensorsHeaderTest, KeepsTypesItDoesNotKnow) {
  const auto header = ParseTensor(R"({"dtype":"F4_NEW","shape":[24],"data_offsets":[0,12]})");
  ASSERT_OK(header);
  EXPECT_EQ(header->tensors.at("a").dtype, "F4_NEW");
}

TEST(SafetensorsHeaderTest, RefusesAFileShorterThanTheLengthField) {
  ExpectRefused(Parse(""), "has 0 bytes");
  ExpectRefused(Parse("1234567"), "has 7 bytes");
}

TEST(SafetensorsHeaderTest, RefusesAHeaderLongerThanTheFile) {
  ExpectRefused(Parse(SafetensorsBytes(kGood, "", 1000)), "announces a header of 1000 bytes");
  ExpectRefused(Parse(SafetensorsBytes(kGood, "", ~std::uint64_t{0})), "announces a header of");
  ExpectRefused(Parse(SafetensorsBytes(kGood, "", ~std::uint64_t{0} - 7)), "announces a header of");
}

TEST(SafetensorsHeaderTest, RefusesAnEmptyHeader) {
  ExpectRefused(Parse(SafetensorsBytes("", "")), "does not start with '{'");
}

TEST(SafetensorsHeaderTest, RefusesWhatIsNotAnObject) {
  ExpectRefused(Parse(SafetensorsBytes("[1, 2]", "")), "does not start with '{'");
  ExpectRefused(Parse(SafetensorsBytes("{\"a\":", "")), "not valid JSON");
  ExpectRefused(Parse(SafetensorsBytes("{\"\xff\xfe\":1}", "")), "not valid JSON");
}

TEST(SafetensorsHeaderTest, RefusesDuplicateNames) {
  const std::string tensor = R"("a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]})";
  ExpectRefused(Parse(SafetensorsBytes("{" + tensor + "," + tensor + "}", ThreeFloats())),
                "\"a\" twice");
}

TEST(SafetensorsHeaderTest, RefusesDeepNestingWithoutRecursing) {
  ExpectRefused(Parse(SafetensorsBytes("{\"a\":" + std::string(1000000, '['), "")),
                "not valid JSON");
  ExpectRefused(Parse(SafetensorsBytes(
                    "{\"a\":" + std::string(1000000, '[') + std::string(1000000, ']') + "}", "")),
                "nested deeper");
}

TEST(SafetensorsHeaderTest, RefusesMetadataThatIsNotStrings) {
  ExpectRefused(Parse(SafetensorsBytes(R"({"__metadata__":[]})", "")), "__metadata__ is []");
  ExpectRefused(Parse(SafetensorsBytes(R"({"__metadata__":{"n":1}})", "")), "expected a string");
}

TEST(SafetensorsHeaderTest, RefusesATensorWithoutAllItsFields) {
  for (const char* fields :
       {"1", "[]", "null", "{}", R"({"dtype":"F32","shape":[3]})",
        R"({"dtype":"F32","data_offsets":[0,12]})", R"({"shape":[3],"data_offsets":[0,12]})"}) {
    ExpectRefused(ParseTensor(fields), "dtype, shape and data_offsets");
  }
}

TEST(SafetensorsHeaderTest, RefusesADTypeThatIsNotAString) {
  ExpectRefused(ParseTensor(R"({"dtype":4,"shape":[3],"data_offsets":[0,12]})"), "dtype 4");
}

TEST(SafetensorsHeaderTest, RefusesSizesThatAreNotWholeNumbers) {
  for (const char* shape : {"3", "\"3\"", "{}", "[-1]", "[3.0]", "[1e99]", "[null]", "[true]",
                            "[[3]]", "[9223372036854775808]", "[18446744073709551615]"}) {
    ExpectRefused(
        ParseTensor(std::string(R"({"dtype":"F32","data_offsets":[0,12],"shape":)") + shape + "}"),
        "shape");
  }
  ExpectRefused(ParseTensor(R"({"dtype":"F32","data_offsets":[0,12],"shape":[1e999]})"),
                "number out of range");
}

TEST(SafetensorsHeaderTest, RefusesShapesWhoseProductOverflows) {
  for (const char* shape :
       {"[9223372036854775807,2]", "[4294967296,4294967296]", "[9223372036854775807,3,0]"}) {
    ExpectRefused(
        ParseTensor(std::string(R"({"dtype":"ODD","data_offsets":[0,12],"shape":)") + shape + "}"),
        "overflows");
  }
}

TEST(SafetensorsHeaderTest, RefusesShapesWhoseBytesOverflow) {
  ExpectRefused(
      ParseTensor(R"({"dtype":"F32","shape":[4611686018427387907],"data_offsets":[0,12]})"),
      "do not fit");
}

TEST(SafetensorsHeaderTest, RefusesOffsetsThatAreNotAPair) {
  for (const char* offsets : {"[0]", "[0,12,12]", "{}", "12", "[-1,12]", "[0.0,12]", "[null,12]"}) {
    ExpectRefused(
        ParseTensor(std::string(R"({"dtype":"F32","shape":[3],"data_offsets":)") + offsets + "}"),
        "data_offsets");
  }
}

TEST(SafetensorsHeaderTest, RefusesOffsetsOutsideTheFile) {
  for (const char* offsets :
       {"[0,13]", "[12,0]", "[4,16]", "[18446744073709551615,4]", "[0,18446744073709551615]"}) {
    ExpectRefused(
        ParseTensor(std::string(R"({"dtype":"F32","shape":[3],"data_offsets":)") + offsets + "}"),
        "0 <= begin <= end <= 12");
  }
}

TEST(SafetensorsHeaderTest, RefusesBytesThatDoNotFitTheShape) {
  ExpectRefused(ParseTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,12]})"), "do not fit");
  ExpectRefused(ParseTensor(R"({"dtype":"F16","shape":[3],"data_offsets":[0,12]})"), "do not fit");
  ExpectRefused(ParseTensor(R"({"dtype":"I64","shape":[1],"data_offsets":[0,12]})"), "do not fit");
}

TEST(SafetensorsHeaderTest, RefusesOverlaps) {
  ExpectRefused(Parse(SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                       R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                                       ThreeFloats())),
                "overlap");
}

TEST(SafetensorsHeaderTest, RefusesGapsAndTrailingBytes) {
  ExpectRefused(ParseTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"), "gap");
  ExpectRefused(ParseTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
                "end at byte 8 of the data, but 12 bytes");
}

TEST(SafetensorsHeaderTest, RefusesTheFileCutAnywhere) {
  const std::string whole = SafetensorsBytes(kGood, ThreeFloats());
  ASSERT_OK(Parse(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(Parse(whole.substr(0, size)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("m.safetensors")))
        << size << " of " << whole.size() << " bytes";
  }
}

// Whatever the header says after random damage, an accepted tensor lies within the file.
TEST(SafetensorsHeaderTest, SurvivesRandomDamage) {
  const std::string whole = SafetensorsBytes(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}})",
      ThreeFloats());
  std::mt19937 random(20211101);
  int accepted = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string bytes = whole;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto header = Parse(bytes);
    if (!header.ok()) continue;
    ++accepted;
    for (const auto& [name, tensor] : header->tensors) {
      ASSERT_LE(tensor.begin, tensor.end);
      ASSERT_LE(header->data_begin + tensor.end, bytes.size());
    }
  }
  EXPECT_GT(accepted, 0);  // changes of the data and of names are no damage
}

}  // namespace
}  // namespace reprise::engine::weights
