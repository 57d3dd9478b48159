#include "engine/weights/safetensors_writer.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "engine/weights/element_codec.h"
#include "engine/weights/safetensors_file.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::weights {
namespace {

using ::reprise::testing::ReadBytes;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

int CountEntries(const std::string& directory) {
  return static_cast<int>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

std::vector<float> Values(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.tensors().at(name);
  std::vector<float> values(static_cast<std::size_t>(ElementCount(tensor.shape)));
  DecodeElements(*ParseDType(tensor.dtype), file.bytes(tensor), values);
  return values;
}

TEST(SafetensorsWriterTest, TheReaderReadsWhatWasWrittenInAnyOrder) {
  const TemporaryDirectory directory;
  const std::string path = directory / "m.safetensors";
  std::vector<float> many(50000);  // more than one buffer
  std::iota(many.begin(), many.end(), 0.0f);
  auto writer = SafetensorsWriter::Create(
      path, {Declare({"half", {3}}, DType::kF16), Declare({"bf", {1, 2}}, DType::kBF16),
             Declare({"many", {500, 100}}, DType::kF32), Declare({"none", {0, 4}}, DType::kF32)});
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->Write("many", many));
  ASSERT_OK((*writer)->Write("bf", std::vector<float>{0.5f, -4.0f}));
  ASSERT_OK((*writer)->Write("none", {}));
  ASSERT_OK((*writer)->Write("half", std::vector<float>{1.0f, -2.5f, 100.0f}));
  ASSERT_OK((*writer)->Finish());
  EXPECT_EQ((*writer)->data_bytes(), 200000u + 4 + 6);

  const auto file = SafetensorsFile::Open(path);
  ASSERT_OK(file);
  EXPECT_EQ(file->metadata().at("format"), "pt");
  EXPECT_THAT(file->tensors().at("many").shape, ElementsAre(500, 100));
  EXPECT_EQ(file->tensors().at("half").dtype, "F16");
  EXPECT_EQ(Values(*file, "many"), many);
  EXPECT_THAT(Values(*file, "bf"), ElementsAre(0.5f, -4.0f));
  EXPECT_THAT(Values(*file, "half"), ElementsAre(1.0f, -2.5f, 100.0f));
}

TEST(SafetensorsWriterTest, TensorsAreAlignedToTheirElements) {
  const TemporaryDirectory directory;
  const std::string path = directory / "m.safetensors";
  auto writer = SafetensorsWriter::Create(
      path, {{"byte", "I8", {3}, 3}, {"wide", "I64", {1}, 8}, Declare({"f", {2}}, DType::kF32)});
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->WriteBytes("byte", std::vector<std::byte>(3)));
  ASSERT_OK((*writer)->WriteBytes("wide", std::vector<std::byte>(8)));
  ASSERT_OK((*writer)->Write("f", std::vector<float>(2)));
  ASSERT_OK((*writer)->Finish());
  const std::string bytes = ReadBytes(path);
  std::uint64_t header_length = 0;
  std::memcpy(&header_length, bytes.data(), 8);
  EXPECT_EQ(header_length % 8, 0u);
  const auto file = SafetensorsFile::Open(path);
  ASSERT_OK(file);
  EXPECT_EQ(file->tensors().at("wide").begin, 0u);
  EXPECT_EQ(file->tensors().at("f").begin, 8u);
  EXPECT_EQ(file->tensors().at("byte").begin, 16u);
}

TEST(SafetensorsWriterTest, WithoutFinishNothingIsLeftAndTheOldFileStays) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("m.safetensors", "old");
  {
    auto writer = SafetensorsWriter::Create(path, {Declare({"a", {1}}, DType::kF32)});
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->Write("a", std::vector<float>(1)));
    EXPECT_EQ(CountEntries(directory.path()), 2);
  }
  EXPECT_EQ(ReadBytes(path), "old");
  EXPECT_EQ(CountEntries(directory.path()), 1);
}

TEST(SafetensorsWriterTest, FinishReplacesTheOldFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("m.safetensors", "old");
  auto writer = SafetensorsWriter::Create(path, {});
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->Finish());
  EXPECT_OK(SafetensorsFile::Open(path));
  EXPECT_EQ(CountEntries(directory.path()), 1);
}

TEST(SafetensorsWriterTest, FinishNamesATensorThatIsMissing) {
  const TemporaryDirectory directory;
  auto writer = SafetensorsWriter::Create(directory / "m", {Declare({"a", {1}}, DType::kF32)});
  ASSERT_OK(writer);
  EXPECT_THAT((*writer)->Finish(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("'a'")));
}

TEST(SafetensorsWriterTest, RefusesWhatWasNotDeclared) {
  const TemporaryDirectory directory;
  auto writer = SafetensorsWriter::Create(
      directory / "m", {Declare({"a", {1}}, DType::kF32), {"ids", "I64", {1}, 8}});
  ASSERT_OK(writer);
  const std::vector<float> one(1);
  EXPECT_THAT((*writer)->Write("b", one),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'b'")));
  EXPECT_THAT((*writer)->Write("a", std::vector<float>(2)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 8 bytes")));
  EXPECT_THAT((*writer)->Write("ids", std::vector<float>(2)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("I64")));
  ASSERT_OK((*writer)->Write("a", one));
  EXPECT_THAT((*writer)->Write("a", one),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("written before")));
}

TEST(SafetensorsWriterTest, RefusesANameDeclaredTwice) {
  const TemporaryDirectory directory;
  EXPECT_THAT(SafetensorsWriter::Create(directory / "m", {Declare({"a", {1}}, DType::kF32),
                                                          Declare({"a", {2}}, DType::kF32)}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
  EXPECT_EQ(CountEntries(directory.path()), 0);
}

TEST(SafetensorsWriterTest, NamesAPlaceItCannotWriteTo) {
  EXPECT_THAT(SafetensorsWriter::Create("/nonexistent/m", {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/m")));
}

TEST(SafetensorsWriterTest, AFileThatCannotGrowIsAnErrorAndLeavesNothing) {
  const TemporaryDirectory directory;
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    auto writer = SafetensorsWriter::Create(directory / "m", {Declare({"a", {4096}}, DType::kF32)});
    ASSERT_OK(writer);
    const absl::Status status = (*writer)->Write("a", std::vector<float>(4096));
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot write"));
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(CountEntries(directory.path()), 0);
}

}  // namespace
}  // namespace reprise::engine::weights
