#include "server/config/flags.h"

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/memory_limit.h"
#include "tests/status_matchers.h"

namespace reprise::server::config {
namespace {

using ::testing::HasSubstr;

class ServerFlags : public ::testing::Test {
 protected:
  ServerFlags() { AddServerFlags(app_, &options_); }

  void Parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--model-repository", "models"});
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    app_.parse(reversed);
  }

  // The message of the parse error, empty when there is none.
  std::string ErrorOf(std::vector<std::string> arguments) {
    try {
      Parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  }

  std::vector<const CLI::Option*> AllOptions() {
    std::vector<const CLI::Option*> all;
    for (const CLI::Option* option : app_.get_options()) {
      if (option != app_.get_help_ptr()) all.push_back(option);
    }
    return all;
  }

  CLI::App app_{"serve"};
  ServerOptions options_;
};

TEST_F(ServerFlags, DefaultsAreThoseOfTheRooms) {
  Parse({});
  const ServerOptions untouched;
  EXPECT_EQ(options_.repository.path, "models");
  EXPECT_EQ(options_.grpc.port, untouched.grpc.port);
  EXPECT_EQ(options_.metrics.port, untouched.metrics.port);
  EXPECT_EQ(options_.shutdown.lame_duck, std::chrono::seconds(10));
  EXPECT_EQ(options_.shutdown.exit_timeout, std::chrono::seconds(30));
  EXPECT_EQ(options_.repository.defaults.batching.max_batch_tokens,
            untouched.repository.defaults.batching.max_batch_tokens);
  EXPECT_FALSE(options_.cpu_isa.has_value());
  EXPECT_OK(Validate(options_));
}

TEST_F(ServerFlags, ValuesReachTheirRooms) {
  Parse({"--host",
         "0.0.0.0",
         "--grpc-port",
         "0",
         "--http-port",
         "8080",
         "--metrics-port",
         "9100",
         "--threads",
         "3",
         "--precision",
         "bf16",
         "--strategy",
         "fused",
         "--lame-duck-secs",
         "0",
         "--keep-going",
         "--cpu-isa",
         "avx2",
         "--log-level",
         "error",
         "--max-queue-delay-us",
         "250",
         "--queue-timeout-ms",
         "700",
         "--no-prediction",
         "--keepalive-time-ms",
         "5000"});
  EXPECT_EQ(options_.grpc.host, "0.0.0.0");
  EXPECT_EQ(options_.metrics.host, "0.0.0.0");
  EXPECT_EQ(options_.grpc.port, 0);
  EXPECT_EQ(options_.http.port, 8080);
  EXPECT_EQ(options_.metrics.port, 9100);
  EXPECT_EQ(options_.repository.defaults.threads, 3);
  EXPECT_EQ(options_.repository.defaults.precision, engine::Precision::kBF16);
  EXPECT_EQ(options_.repository.defaults.strategy, engine::ReuseStrategy::kFused);
  EXPECT_EQ(options_.shutdown.lame_duck, std::chrono::seconds(0));
  EXPECT_TRUE(options_.core.keep_going);
  EXPECT_EQ(options_.cpu_isa, engine::device::CpuIsa::kAvx2);
  EXPECT_EQ(options_.log_level, LogLevel::kError);
  EXPECT_EQ(options_.repository.defaults.batching.max_queue_delay_us, 250);
  EXPECT_EQ(options_.repository.defaults.batching.queue_timeout, std::chrono::milliseconds(700));
  EXPECT_FALSE(options_.repository.defaults.batching.prediction);
  EXPECT_EQ(options_.grpc.keepalive_time, std::chrono::seconds(5));
}

TEST_F(ServerFlags, BytesTakeUnits) {
  Parse({"--max-receive-bytes", "16MiB", "--score-cache-bytes", "4096"});
  EXPECT_EQ(options_.grpc.max_receive_bytes, 16 << 20);
  EXPECT_EQ(options_.repository.defaults.score_cache_bytes, 4096);
}

TEST_F(ServerFlags, TheHealthPortIsThereWithTlsOrWhenAskedFor) {
  Parse({});
  EXPECT_EQ(GrpcOptions(options_).health_port, std::nullopt);
  options_.security.tls.certificate = "tls.crt";
  EXPECT_EQ(GrpcOptions(options_).health_port, 8003);
}

TEST_F(ServerFlags, TheHealthPortMayBeChosenOrLeftOut) {
  Parse({"--tls-cert", "tls.crt", "--tls-key", "tls.key", "--health-port", "off"});
  EXPECT_EQ(GrpcOptions(options_).health_port, std::nullopt);
  options_.health_port = *ParseHealthPort("9000");
  EXPECT_EQ(GrpcOptions(options_).health_port, 9000);
  for (const char* wrong : {"", "65536", "-1", "on", "80x"}) {
    EXPECT_THAT(ParseHealthPort(wrong),
                reprise::testing::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("auto")))
        << wrong;
  }
}

TEST_F(ServerFlags, MessagesBeingReceivedShareAQuarterOfTheMemoryUnlessToldOtherwise) {
  Parse({});
  EXPECT_EQ(GrpcOptions(options_).memory_quota_bytes, MemoryLimit() / 4);
  options_.grpc.memory_quota_bytes = 0;
  EXPECT_EQ(GrpcOptions(options_).memory_quota_bytes, 0);
}

TEST_F(ServerFlags, HttpSharesHostMessageLimitsAndTheCallersKeyWithGrpc) {
  Parse({"--host", "::1", "--max-receive-bytes", "1MiB", "--max-send-bytes", "2MiB",
         "--client-key-metadata", "x-tenant", "--http-io-timeout-ms", "7"});
  const http::HttpServerOptions http = HttpOptions(options_);
  EXPECT_EQ(http.host, "::1");
  EXPECT_EQ(http.max_receive_bytes, 1 << 20);
  EXPECT_EQ(http.max_send_bytes, 2 << 20);
  EXPECT_EQ(http.client_key_header, "x-tenant");
  EXPECT_EQ(http.io_timeout, std::chrono::milliseconds(7));
}

TEST_F(ServerFlags, APortForHttpThatIsNotOpenedIsAnError) {
  EXPECT_THAT(ErrorOf({"--no-http", "--http-port", "8080"}), HasSubstr("--http-port"));
}

TEST_F(ServerFlags, TheModelRepositoryIsRequired) {
  std::vector<std::string> none;
  EXPECT_THROW(app_.parse(none), CLI::RequiredError);
}

TEST_F(ServerFlags, AnUnknownFlagIsAnError) { EXPECT_NE(ErrorOf({"--no-such-flag"}), ""); }

TEST_F(ServerFlags, AValueOutOfRangeNamesFlagAndRange) {
  const std::string error = ErrorOf({"--grpc-port", "65536"});
  EXPECT_THAT(error, HasSubstr("--grpc-port"));
  EXPECT_THAT(error, HasSubstr("65535"));
}

TEST_F(ServerFlags, AnUnknownChoiceListsTheKnownOnes) {
  const std::string error = ErrorOf({"--precision", "fp64"});
  EXPECT_THAT(error, HasSubstr("fp64"));
  EXPECT_THAT(error, HasSubstr("bf16"));
}

TEST_F(ServerFlags, TextThatIsNoNumberIsAnError) {
  EXPECT_THAT(ErrorOf({"--threads", "many"}), HasSubstr("--threads"));
}

TEST_F(ServerFlags, ADeviceThatIsNotBuiltIsAnError) {
  EXPECT_THAT(ErrorOf({"--device", "tpu"}), HasSubstr("--device"));
}

TEST_F(ServerFlags, TheEnvironmentGivesValuesTheCommandLineDoesNot) {
  setenv("REPRISE_GRPC_PORT", "1234", 1);
  setenv("REPRISE_METRICS_PORT", "1235", 1);
  Parse({"--metrics-port", "99"});
  unsetenv("REPRISE_GRPC_PORT");
  unsetenv("REPRISE_METRICS_PORT");
  EXPECT_EQ(options_.grpc.port, 1234);
  EXPECT_EQ(options_.metrics.port, 99);
}

TEST_F(ServerFlags, EveryFlagHasHelpAndItsOwnEnvironmentName) {
  std::set<std::string> environment_names;
  for (const CLI::Option* option : AllOptions()) {
    EXPECT_GT(option->get_description().size(), 10u) << option->get_name();
    EXPECT_TRUE(option->get_envname().starts_with("REPRISE_")) << option->get_name();
    EXPECT_TRUE(environment_names.insert(option->get_envname()).second) << option->get_name();
  }
  EXPECT_GT(environment_names.size(), 35u);
}

TEST_F(ServerFlags, EveryValueHasADefaultOrSaysWhatItsAbsenceMeans) {
  for (const CLI::Option* option : AllOptions()) {
    if (option->get_items_expected_max() == 0 || option->get_required()) continue;
    EXPECT_TRUE(!option->get_default_str().empty() ||
                option->get_description().find("default:") != std::string::npos)
        << option->get_name();
  }
}

}  // namespace
}  // namespace reprise::server::config
