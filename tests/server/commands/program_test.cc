// The program's commands from outside: what they print and the status they end with.

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/server/commands/run_program.h"
#include "tests/server/commands/tiny_model.h"
#include "tests/temporary_directory.h"

namespace reprise::testing {
namespace {

using ::testing::HasSubstr;

TEST(Program, HelpListsTheCommands) {
  const ProgramResult result = RunProgram({"--help"});
  EXPECT_EQ(result.status, 0);
  for (const char* command : {"serve", "convert", "bench", "inspect", "health", "simulate"}) {
    EXPECT_THAT(result.output, HasSubstr(command));
  }
}

TEST(Program, EveryCommandHasHelp) {
  for (const char* command : {"serve", "convert", "bench", "inspect", "health", "simulate"}) {
    const ProgramResult result = RunProgram({command, "--help"});
    EXPECT_EQ(result.status, 0) << command;
    EXPECT_THAT(result.output, HasSubstr("Options"));
  }
}

TEST(Program, BadUsageEndsWithStatus2) {
  const std::vector<std::vector<std::string>> calls = {
      {},
      {"dance"},
      {"serve"},
      {"serve", "--model-repository", "x", "--grpc-port", "-1"},
      {"serve", "--model-repository", "/no/such/folder"},
      {"bench"},
      {"bench", "--config", "/no/such/file", "--random-weights"},
      {"convert", "somewhere", "--output", "elsewhere"},
      {"convert", "somewhere", "--output", "elsewhere", "--heads", "1"},
      {"inspect"},
      {"health", "--port", "0"},
      {"simulate"},
      {"simulate", "--poisson", "10"},
      {"simulate", "--poisson", "0", "--token-us", "1"},
      {"simulate", "--poisson", "10", "--token-us", "1", "--lengths", "9-3"},
      {"simulate", "--poisson", "10", "--trace", "x", "--token-us", "1"},
      {"simulate", "--poisson", "10", "--token-us", "1", "--max-queue-rows", "1"},
      {"simulate", "--poisson", "10", "--token-us", "1", "--default-priority", "9"}};
  for (const auto& call : calls) {
    const ProgramResult result = RunProgram(call);
    EXPECT_EQ(result.status, 2) << ::testing::PrintToString(call) << "\n" << result.output;
    EXPECT_FALSE(result.output.empty());
  }
}

class ProgramOnTinyModel : public ::testing::Test {
 protected:
  ProgramOnTinyModel() : config_(folder_.Write("config.json", kTinyConfig)) {}

  ProgramResult Bench(std::vector<std::string> more) {
    std::vector<std::string> arguments = {
        "bench",         "--config", config_,     "--random-weights",
        "--precision",   "fp32",     "--seq-len", "16",
        "--repetitions", "3",        "--warmup",  "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgram(arguments);
  }

  TemporaryDirectory folder_;
  std::string config_;
};

TEST_F(ProgramOnTinyModel, BenchWritesMachineAndRows) {
  const ProgramResult result =
      Bench({"--plan", "exact,4x2", "--phases", "--json", folder_ / "out.json"});
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("4x2"));
  std::ifstream file(folder_ / "out.json");
  const auto json = nlohmann::json::parse(file);
  EXPECT_FALSE(json["machine"]["cpu"].get<std::string>().empty());
  EXPECT_GE(json["machine"]["cores"], 1);
  ASSERT_EQ(json["rows"].size(), 2u);
  EXPECT_EQ(json["rows"][1]["plan"], "4x2");
  EXPECT_GT(json["rows"][1]["median_ms"], 0);
}

TEST_F(ProgramOnTinyModel, BenchOfAPlanTheModelCannotHaveEndsWithStatus2) {
  const ProgramResult result = Bench({"--plan", "5x2"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("bench: "));
}

TEST_F(ProgramOnTinyModel, ConvertThenInspectShowTheNewModel) {
  ASSERT_EQ(Bench({"--save-weights", folder_ / "exact"}).status, 0);
  const ProgramResult converted = RunProgram({"convert", folder_ / "exact", "--heads", "3",
                                              "--layers", "2", "--output", folder_ / "reuse"});
  ASSERT_EQ(converted.status, 0) << converted.output;
  EXPECT_THAT(converted.output, HasSubstr("Not calibrated"));
  EXPECT_THAT(converted.output, HasSubstr("6 of 16 heads"));
  const ProgramResult inspected = RunProgram({"inspect", folder_ / "reuse", "--json"});
  ASSERT_EQ(inspected.status, 0) << inspected.output;
  EXPECT_EQ(nlohmann::json::parse(inspected.output)["reuse_plan"], "3x2");
}

TEST_F(ProgramOnTinyModel, ConvertDoesNotOverwrite) {
  ASSERT_EQ(Bench({"--save-weights", folder_ / "exact"}).status, 0);
  const std::vector<std::string> convert = {
      "convert", folder_ / "exact", "--heads", "3", "--layers", "2", "--output", folder_ / "reuse"};
  EXPECT_EQ(RunProgram(convert).status, 0);
  EXPECT_EQ(RunProgram(convert).status, 1);
}

TEST_F(ProgramOnTinyModel, InspectOfAFolderWithoutWeightsSaysWhatIsMissing) {
  const ProgramResult result = RunProgram({"inspect", folder_.path()});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.output, HasSubstr("model.safetensors"));
}

TEST(Program, HealthOfAServerThatIsNotThereIsAFailure) {
  EXPECT_EQ(RunProgram({"health", "--port", "1", "--timeout-ms", "200"}).status, 1);
}

}  // namespace
}  // namespace reprise::testing
