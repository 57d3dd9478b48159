#include "server/config/logging_observer.h"

#include <string>

#include "gtest/gtest.h"
#include "server/config/json_log.h"

namespace reprise::server::config {
namespace {

class LoggingObserverTest : public ::testing::Test {
 protected:
  template <typename Event>
  std::string Logged(Event event, LogLevel level = LogLevel::kInfo) {
    ::testing::internal::CaptureStderr();
    InstallJsonLog(level);
    event();
    return ::testing::internal::GetCapturedStderr();
  }

  LoggingObserver observer_;
};

TEST_F(LoggingObserverTest, AModelThatDoesNotLoadIsAnErrorWithItsReason) {
  const auto line = nlohmann::json::parse(Logged([&] {
    observer_.OnModelState("demo", "3", ModelState::kUnavailable, "no model.safetensors");
  }));
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["model"], "demo");
  EXPECT_EQ(line["version"], "3");
  EXPECT_EQ(line["reason"], "no model.safetensors");
}

TEST_F(LoggingObserverTest, NothingIsLoggedPerRequest) {
  const std::string text = Logged([&] {
    observer_.OnSequence("demo", "1", 7);
    observer_.OnInflight("demo", "1", 1);
    observer_.OnQueueDepth("demo", "1", {});
    observer_.OnRpcFinished({.protocol = "grpc", .method = "ModelInfer"});
    observer_.OnInferenceFinished(InferenceOutcome());
    observer_.OnBatchFinished(BatchOutcome());
  });
  EXPECT_EQ(text, "");
}

TEST_F(LoggingObserverTest, AtLevelDebugEveryCallIsALineWithItsTrace) {
  TraceContext trace;
  trace.trace_id = "0af7651916cd43dd8448eb211c80319c";
  trace.span_id = "b7ad6b7169203331";
  const auto line = nlohmann::json::parse(Logged(
      [&] {
        observer_.OnInferenceFinished({.protocol = "grpc",
                                       .method = "ModelInfer",
                                       .id = "mine",
                                       .model = "demo",
                                       .version = "3",
                                       .code = absl::StatusCode::kCancelled,
                                       .trace = &trace});
        observer_.OnRpcFinished({.protocol = "grpc", .method = "ModelInfer"});  // the same call
      },
      LogLevel::kDebug));
  EXPECT_EQ(line["level"], "debug");
  EXPECT_EQ(line["request_id"], "mine");
  EXPECT_EQ(line["version"], "3");
  EXPECT_EQ(line["code"], "CANCELLED");
  EXPECT_EQ(line["trace_id"], trace.trace_id);
  EXPECT_EQ(line["span_id"], trace.span_id);
}

TEST_F(LoggingObserverTest, ARequestThatFailedByOurFaultIsAnError) {
  const auto line = nlohmann::json::parse(Logged([&] {
    observer_.OnInferenceFinished({.model = "demo", .code = absl::StatusCode::kInternal});
    observer_.OnInferenceFinished({.model = "demo", .code = absl::StatusCode::kInvalidArgument});
  }));
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["code"], "INTERNAL");
}

TEST_F(LoggingObserverTest, NamesThatACallerChoseAreCutShort) {
  const std::string name(100'000, 'n');
  const std::string text =
      Logged([&] { observer_.OnInferenceFinished({.id = name, .model = name}); }, LogLevel::kDebug);
  EXPECT_LT(text.size(), 2000u);
}

}  // namespace
}  // namespace reprise::server::config
