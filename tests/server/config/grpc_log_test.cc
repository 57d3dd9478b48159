#include "server/config/grpc_log.h"

#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "grpc/support/log.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/config/json_log.h"

namespace reprise::server::config {
namespace {

using std::chrono::milliseconds;

TEST(OncePerSecond, LetsOneThroughAndCountsTheOthers) {
  OncePerSecond limit;
  const SteadyClock::time_point start{};
  EXPECT_EQ(limit.Pass(start), 0);
  EXPECT_EQ(limit.Pass(start), std::nullopt);
  EXPECT_EQ(limit.Pass(start + milliseconds(999)), std::nullopt);
  EXPECT_EQ(limit.Pass(start + milliseconds(1000)), 2);
  EXPECT_EQ(limit.Pass(start + milliseconds(5000)), 0);
}

TEST(GrpcLog, WhatGrpcSaysBecomesALineOfTheLog) {
  InstallJsonLog(LogLevel::kInfo);
  InstallGrpcLog();
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
  ::testing::internal::CaptureStderr();
  gpr_log("src/core/some_file.cc", 7, GPR_LOG_SEVERITY_ERROR, "Handshake \"failed\"");
  gpr_log("src/core/some_file.cc", 8, GPR_LOG_SEVERITY_INFO, "nothing special");
  gpr_log("src/core/some_file.cc", 9, GPR_LOG_SEVERITY_ERROR, "again");
  std::istringstream said(::testing::internal::GetCapturedStderr());
  std::string text;
  ASSERT_TRUE(std::getline(said, text));
  const auto line = nlohmann::json::parse(text);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "Handshake \"failed\"");
  EXPECT_EQ(line["from"], "grpc");
  EXPECT_EQ(line["file"], "some_file.cc");
  EXPECT_EQ(line["line"], 7);
  EXPECT_FALSE(std::getline(said, text)) << text;
}

}  // namespace
}  // namespace reprise::server::config
