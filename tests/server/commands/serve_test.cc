// A server's life from outside: ports, readiness, signals and the status it ends with.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/server/commands/run_program.h"
#include "tests/server/commands/tiny_model.h"
#include "tests/temporary_directory.h"

namespace reprise::testing {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::Not;

class ServeTest : public ::testing::Test {
 protected:
  ServeTest() {
    const std::string config = folder_.Write("config.json", kTinyConfig);
    const ProgramResult saved = RunProgram(
        {"bench", "--config", config, "--random-weights", "--precision", "fp32", "--seq-len", "8",
         "--repetitions", "1", "--save-weights", folder_ / "models/tiny/1"});
    EXPECT_EQ(saved.status, 0) << saved.output;
  }

  std::vector<std::string> Arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"serve",
                                          "--model-repository",
                                          folder_ / "models",
                                          "--grpc-port",
                                          "0",
                                          "--http-port",
                                          "0",
                                          "--metrics-port",
                                          "0",
                                          "--precision",
                                          "fp32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // Ports of the line "listening".
  static nlohmann::json Listening(Program& server) {
    const std::string line = server.WaitFor(R"("message":"listening")");
    EXPECT_NE(line, "") << server.output();
    return nlohmann::json::parse("{" + line, nullptr, false);
  }

  static int Health(const nlohmann::json& ports, const std::string& service = "") {
    return RunProgram({"health", "--port", std::to_string(ports["grpc_port"].get<int>()),
                       "--service", service, "--timeout-ms", "5000"})
        .status;
  }

  // A model whose weights are cut off.
  void AddBrokenModel() const {
    folder_.Write("models/broken/1/config.json", kTinyConfig);
    folder_.Write("models/broken/1/model.safetensors", "short");
  }

  TemporaryDirectory folder_;
};

TEST_F(ServeTest, BecomesReadyAndStopsCleanlyOnSigterm) {
  Program server(Arguments({"--lame-duck-secs", "0"}));
  const nlohmann::json ports = Listening(server);
  ASSERT_NE(server.WaitFor(R"("message":"ready")"), "") << server.output();
  EXPECT_EQ(Health(ports), 0);
  EXPECT_EQ(Health(ports, "tiny"), 0);
  EXPECT_EQ(Health(ports, "startup"), 0);
  EXPECT_EQ(Health(ports, "liveness"), 0);
  EXPECT_EQ(Health(ports, "no-such-model"), 1);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.output();
}

TEST_F(ServeTest, TheLameDuckServesOnWhileHealthSaysNo) {
  Program server(Arguments({"--lame-duck-secs", "3"}));
  const nlohmann::json ports = Listening(server);
  ASSERT_NE(server.WaitFor(R"("message":"ready")"), "");
  server.Signal(SIGTERM);
  ASSERT_NE(server.WaitFor(R"("message":"draining")"), "");
  const steady_clock::time_point begin = steady_clock::now();
  EXPECT_EQ(Health(ports), 1);              // readiness
  EXPECT_EQ(Health(ports, "liveness"), 0);  // the port is open and answers
  EXPECT_EQ(server.Wait(), 0) << server.output();
  EXPECT_GE(steady_clock::now() - begin, seconds(1));
}

TEST_F(ServeTest, SigintSkipsTheLameDuck) {
  Program server(Arguments({"--lame-duck-secs", "600"}));
  ASSERT_NE(server.WaitFor(R"("message":"ready")"), "");
  server.Signal(SIGINT);
  EXPECT_EQ(server.Wait(), 0) << server.output();
}

TEST_F(ServeTest, ASecondSignalEndsTheServerAtOnce) {
  Program server(Arguments({"--lame-duck-secs", "600"}));
  ASSERT_NE(server.WaitFor(R"("message":"ready")"), "");
  server.Signal(SIGTERM);
  ASSERT_NE(server.WaitFor(R"("message":"draining")"), "");
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 128 + SIGTERM);
}

TEST_F(ServeTest, AModelThatDoesNotLoadEndsTheServerWithStatus1) {
  AddBrokenModel();
  const ProgramResult result = RunProgram(Arguments());
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.output, HasSubstr("broken"));
  EXPECT_THAT(result.output, HasSubstr("model.safetensors"));
}

TEST_F(ServeTest, WithKeepGoingTheOtherModelsServeButTheServerIsNotReady) {
  AddBrokenModel();
  Program server(Arguments({"--keep-going", "--lame-duck-secs", "0"}));
  const nlohmann::json ports = Listening(server);
  ASSERT_NE(server.WaitFor("serving without the models that did not load"), "") << server.output();
  EXPECT_EQ(Health(ports, "tiny"), 0);
  EXPECT_EQ(Health(ports, "broken"), 1);
  EXPECT_EQ(Health(ports), 1);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.output();
}

TEST_F(ServeTest, ATakenPortEndsTheServerWithStatus1) {
  Program first(Arguments({"--lame-duck-secs", "0"}));
  const nlohmann::json ports = Listening(first);
  for (const std::string name : {"grpc", "http", "metrics"}) {
    std::vector<std::string> arguments = {"serve", "--model-repository", folder_ / "models"};
    const std::string taken = std::to_string(ports[name + "_port"].get<int>());
    for (const std::string other : {"grpc", "http", "metrics"}) {
      arguments.insert(arguments.end(), {"--" + other + "-port", other == name ? taken : "0"});
    }
    const ProgramResult result = RunProgram(arguments);
    EXPECT_EQ(result.status, 1) << result.output;
    EXPECT_THAT(result.output, HasSubstr(taken));
  }
}

TEST_F(ServeTest, WithoutHttpThereIsNoPortForIt) {
  std::vector<std::string> arguments = {"serve",
                                        "--model-repository",
                                        folder_ / "models",
                                        "--grpc-port",
                                        "0",
                                        "--metrics-port",
                                        "0",
                                        "--no-http",
                                        "--lame-duck-secs",
                                        "0"};
  Program server(arguments);
  EXPECT_TRUE(Listening(server)["http_port"].is_null());
  ASSERT_NE(server.WaitFor(R"("message":"ready")"), "") << server.output();
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.output();
}

TEST_F(ServeTest, ARepositoryWithoutModelsIsBadConfiguration) {
  std::filesystem::create_directories(folder_ / "empty");
  const ProgramResult result =
      RunProgram({"serve", "--model-repository", folder_ / "empty", "--grpc-port", "0",
                  "--http-port", "0", "--metrics-port", "0"});
  EXPECT_EQ(result.status, 2) << result.output;
}

TEST_F(ServeTest, EveryLineOfTheLogIsJson) {
  Program server(Arguments({"--lame-duck-secs", "0"}));
  ASSERT_NE(server.WaitFor(R"("message":"ready")"), "");
  server.Signal(SIGTERM);
  server.Wait();
  std::istringstream lines(server.output());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    EXPECT_TRUE(parsed.is_object()) << line;
    EXPECT_TRUE(parsed.contains("time") && parsed.contains("level") && parsed.contains("message"))
        << line;
  }
  EXPECT_GE(count, 5);  // loading, listening, model ready, ready, stopping, draining, stopped
}

}  // namespace
}  // namespace reprise::testing
