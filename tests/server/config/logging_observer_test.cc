#include "server/config/logging_observer.h"

#include <string>

#include "gtest/gtest.h"
#include "server/config/json_log.h"
#include "server/metrics/metrics_observer.h"
#include "tests/server/metrics/scrape.h"

namespace reprise::server::config {
namespace {

class LoggingObserverTest : public ::testing::Test {
 protected:
  template <typename Event>
  std::string Logged(Event event) {
    ::testing::internal::CaptureStderr();
    InstallJsonLog(LogLevel::kInfo);
    event();
    return ::testing::internal::GetCapturedStderr();
  }

  metrics::MetricsRegistry registry_;
  metrics::MetricsObserver metrics_{registry_, {.version = "1", .commit = "c"}};
  LoggingObserver observer_{metrics_};
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

TEST_F(LoggingObserverTest, EventsGoOnToTheMetrics) {
  Logged([&] {
    observer_.OnModelState("demo", "1", ModelState::kLoading, "");
    observer_.OnModelState("demo", "1", ModelState::kReady, "");
    observer_.OnInflight("demo", "1", 2);
    observer_.OnSequence("demo", "1", 7);
    observer_.OnDraining();
  });
  EXPECT_EQ(metrics::GaugeValue(registry_, "reprise_model_ready"), 1);
  EXPECT_EQ(metrics::GaugeValue(registry_, "reprise_inflight_requests", {{"model", "demo"}}), 2);
  EXPECT_EQ(metrics::HistogramOf(registry_, "reprise_sequence_tokens", {{"model", "demo"}}).sum, 7);
  EXPECT_EQ(metrics::GaugeValue(registry_, "reprise_draining"), 1);
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

}  // namespace
}  // namespace reprise::server::config
