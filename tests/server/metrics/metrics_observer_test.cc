#include "server/metrics/metrics_observer.h"

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/metrics/metric_catalogue.h"
#include "tests/server/metrics/metrics_fixture.h"

namespace reprise::server::metrics {
namespace {

TEST_F(MetricsObserverTest, EachFinishedRpcCountsOnceUnderItsMethodAndCode) {
  observer_.OnRpcFinished({.protocol = "grpc", .method = "ModelInfer"});
  observer_.OnRpcFinished({.protocol = "grpc", .method = "ModelInfer"});
  observer_.OnRpcFinished(
      {.protocol = "grpc", .method = "ModelInfer", .code = absl::StatusCode::kInvalidArgument});
  const auto count = [&](const std::string& code) {
    return CounterValue(registry_, "reprise_requests_total",
                        {{"protocol", "grpc"}, {"method", "ModelInfer"}, {"code", code}});
  };
  EXPECT_EQ(count("OK"), 2);
  EXPECT_EQ(count("INVALID_ARGUMENT"), 1);
  EXPECT_EQ(count("INTERNAL"), 0);
}

TEST_F(MetricsObserverTest, MethodsThatDoNotExistShareOneSeries) {
  for (const char* method : {"Nonsense", "/a.b/C"}) {
    observer_.OnRpcFinished(
        {.protocol = "grpc", .method = method, .code = absl::StatusCode::kUnimplemented});
  }
  observer_.OnRpcFinished(
      {.protocol = "http", .method = "/x", .code = absl::StatusCode::kUnimplemented});
  const auto count = [&](const std::string& protocol) {
    return CounterValue(
        registry_, "reprise_requests_total",
        {{"protocol", protocol}, {"method", "_unknown"}, {"code", "UNIMPLEMENTED"}});
  };
  EXPECT_EQ(count("grpc"), 2);
  EXPECT_EQ(count("http"), 1);
}

TEST_F(MetricsObserverTest, ACodeThatGrpcDoesNotKnowCountsAsUnknown) {
  observer_.OnRpcFinished(
      {.protocol = "grpc", .method = "Embed", .code = static_cast<absl::StatusCode>(99)});
  EXPECT_EQ(CounterValue(registry_, "reprise_requests_total",
                         {{"protocol", "grpc"}, {"method", "Embed"}, {"code", "UNKNOWN"}}),
            1);
}

TEST_F(MetricsObserverTest, AnAnsweredRequestIsTimedAsAWholeAndInPhases) {
  observer_.OnInferenceFinished(Answered());
  const HistogramValue request = HistogramOf(registry_, "reprise_request_duration_seconds", kDemo);
  EXPECT_EQ(request.count, 1);
  EXPECT_DOUBLE_EQ(request.sum, 0.024);
  EXPECT_DOUBLE_EQ(HistogramOf(registry_, "reprise_queue_duration_seconds", kDemo).sum, 0.004);
  const std::map<std::string, double> phases = {
      {"decode", 0.001}, {"tokenize", 0.001}, {"queue", 0.004}, {"encode", 0.002}};
  for (const auto& [phase, seconds] : phases) {
    const HistogramValue value =
        HistogramOf(registry_, "reprise_phase_duration_seconds", Demo("phase", phase));
    EXPECT_EQ(value.count, 1) << phase;
    EXPECT_DOUBLE_EQ(value.sum, seconds) << phase;
  }
}

TEST_F(MetricsObserverTest, AFailedRequestIsNotTimed) {
  InferenceOutcome outcome = Answered();
  outcome.code = absl::StatusCode::kInternal;
  observer_.OnInferenceFinished(outcome);
  EXPECT_EQ(HistogramOf(registry_, "reprise_request_duration_seconds", kDemo).count, 0);
}

TEST_F(MetricsObserverTest, RefusalsCountUnderTheirReason) {
  const std::map<RefusalReason, std::string> reasons = {
      {RefusalReason::kQueueRequests, "queue_requests"},
      {RefusalReason::kQueueRows, "queue_rows"},
      {RefusalReason::kQueueTokens, "queue_tokens"},
      {RefusalReason::kQueueBytes, "queue_bytes"},
      {RefusalReason::kQueueScoreBytes, "queue_score_bytes"},
      {RefusalReason::kDeadline, "deadline"},
      {RefusalReason::kQuota, "quota"},
      {RefusalReason::kDraining, "draining"},
      {RefusalReason::kTooLarge, "too_large"},
      {RefusalReason::kInvalid, "invalid"}};
  double expected = 0;
  for (const auto& [reason, label] : reasons) {
    ++expected;  // another count for each reason, so that no two can be confused
    for (int i = 0; i < expected; ++i) {
      observer_.OnInferenceFinished(Refused("demo", "1", reason));
    }
    EXPECT_EQ(CounterValue(registry_, "reprise_refused_total", Demo("reason", label)), expected);
  }
}

TEST_F(MetricsObserverTest, AMissedDeadlineHasNoSlack) {
  InferenceOutcome outcome = Answered();
  outcome.has_deadline = true;
  outcome.deadline_slack = milliseconds(76);
  observer_.OnInferenceFinished(outcome);
  outcome.deadline_slack = milliseconds(-10);
  outcome.code = absl::StatusCode::kDeadlineExceeded;
  observer_.OnInferenceFinished(outcome);
  const HistogramValue slack = HistogramOf(registry_, "reprise_deadline_slack_seconds", kDemo);
  EXPECT_EQ(slack.count, 2);
  EXPECT_DOUBLE_EQ(slack.sum, 0.076);
}

TEST_F(MetricsObserverTest, ModelReadyFollowsTheStateAndVanishesOnUnload) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 0);
  observer_.OnModelState("demo", "1", ModelState::kReady, "");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 1);
  observer_.OnModelState("demo", "1", ModelState::kUnavailable, "load failed");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 0);
  observer_.OnModelState("demo", "1", ModelState::kUnloading, "");
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo).has_value());
  observer_.OnModelState("demo", "1", ModelState::kUnavailable, kUnloaded);
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo).has_value());
  observer_.OnModelState("demo", "1", ModelState::kLoading, "loading");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 0);
}

TEST_F(MetricsObserverTest, AVersionThatServesOnAfterAFailedLoadStaysReady) {
  observer_.OnModelState("demo", "1", ModelState::kReady, "a later load failed");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 1);
}

TEST_F(MetricsObserverTest, GoldenMismatchesAreCountedByVersion) {
  EXPECT_EQ(CounterValue(registry_, "reprise_golden_mismatch_total", kDemo), 0);
  observer_.OnGoldenMismatch("demo", "1");
  EXPECT_EQ(CounterValue(registry_, "reprise_golden_mismatch_total", kDemo), 1);
}

std::size_t SeriesCount(const MetricsRegistry& registry) {
  std::size_t count = 0;
  for (const auto& family : registry.collectable()->Collect()) count += family.metric.size();
  return count;
}

// The names of the families that have a series with these two labels.
std::set<std::string> FamiliesOf(const MetricsRegistry& registry, const std::string& model,
                                 const std::string& version) {
  std::set<std::string> names;
  for (const auto& family : registry.collectable()->Collect()) {
    if (FindSeries(registry, family.name, {{"model", model}, {"version", version}})) {
      names.insert(family.name);
    }
  }
  return names;
}

const std::set<std::string> kOutcomes = {"reprise_inferences_total", "reprise_refused_total"};

TEST_F(MetricsObserverTest, InferencesCountByCode) {
  observer_.OnInferenceFinished(Answered());
  observer_.OnInferenceFinished(Refused("demo", "1", RefusalReason::kQueueRows));
  InferenceOutcome odd = Answered();
  odd.code = static_cast<absl::StatusCode>(99);
  observer_.OnInferenceFinished(odd);
  const auto count = [&](const std::string& code) {
    return CounterValue(registry_, "reprise_inferences_total", Demo("code", code));
  };
  EXPECT_EQ(count("OK"), 1);
  EXPECT_EQ(count("RESOURCE_EXHAUSTED"), 1);
  EXPECT_EQ(count("UNKNOWN"), 1);
  EXPECT_EQ(count("CANCELLED"), 0);
}

TEST_F(MetricsObserverTest, NamesThatNoModelHasShareSeriesOfOutcomesAlone) {
  const std::size_t before = SeriesCount(registry_);
  for (int i = 0; i < 100; ++i) {
    const std::string name = "guess-" + std::to_string(i);
    observer_.OnInferenceFinished(Refused(name, "", RefusalReason::kInvalid));
    observer_.OnQueueDepth(name, "1", {.requests = 1});
  }
  EXPECT_EQ(SeriesCount(registry_), before);
  EXPECT_EQ(CounterValue(registry_, "reprise_refused_total",
                         {{"model", "_unknown"}, {"reason", "invalid"}}),
            100);
  EXPECT_EQ(CounterValue(registry_, "reprise_inferences_total",
                         {{"model", "_unknown"}, {"code", "RESOURCE_EXHAUSTED"}}),
            100);
  EXPECT_EQ(FamiliesOf(registry_, "_unknown", ""), kOutcomes);
}

TEST_F(MetricsObserverTest, VersionsThatAKnownModelLacksShareSeriesOfOutcomesAlone) {
  EXPECT_EQ(FamiliesOf(registry_, "demo", ""), kOutcomes) << "they start at zero";
  const std::size_t before = SeriesCount(registry_);
  for (const char* version : {"7", "8", ""}) {
    observer_.OnInferenceFinished(Refused("demo", version, RefusalReason::kInvalid));
  }
  EXPECT_EQ(CounterValue(registry_, "reprise_refused_total",
                         {{"model", "demo"}, {"version", ""}, {"reason", "invalid"}}),
            3);
  EXPECT_EQ(SeriesCount(registry_), before);
}

TEST_F(MetricsObserverTest, AVersionsSeriesEndWhenItIsUnloaded) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  observer_.OnInferenceFinished(Answered());
  observer_.OnModelState("demo", "2", ModelState::kReady, "");
  observer_.OnModelState("demo", "1", ModelState::kUnloading, "");
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo));
  EXPECT_TRUE(FindSeries(registry_, "reprise_batch_rows", kDemo)) << "it still answers";
  observer_.OnModelUnloaded("demo", "1");
  EXPECT_EQ(FamiliesOf(registry_, "demo", "1"), std::set<std::string>{});
  EXPECT_FALSE(FamiliesOf(registry_, "demo", "2").empty());
  observer_.OnInferenceFinished(Answered());  // a straggler
  EXPECT_EQ(FamiliesOf(registry_, "demo", "1"), std::set<std::string>{});
  EXPECT_EQ(CounterValue(registry_, "reprise_inferences_total",
                         {{"model", "demo"}, {"version", ""}, {"code", "OK"}}),
            1);
  observer_.OnModelState("demo", "1", ModelState::kLoading, "");
  EXPECT_EQ(CounterValue(registry_, "reprise_inferences_total", Demo("code", "OK")), 0);
}

TEST_F(MetricsObserverTest, LoadingAndUnloadingForEverAddsNoSeries) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  const std::size_t before = SeriesCount(registry_);
  for (int version = 2; version < 30; ++version) {
    observer_.OnModelState("demo", std::to_string(version), ModelState::kReady, "");
    observer_.OnModelState("demo", std::to_string(version), ModelState::kUnloading, "");
    observer_.OnModelUnloaded("demo", std::to_string(version));
    observer_.OnModelReady(ReuseModel(), milliseconds(1));  // version 1, loaded anew
  }
  EXPECT_EQ(SeriesCount(registry_), before);
}

TEST_F(MetricsObserverTest, AModelOfTwelveLayersHasFewerThan2000Lines) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  engine::ExecutionReport report = Report();
  report.layer_scores.resize(12);
  observer_.OnBatchFinished(Batch(&report));
  std::size_t lines = 0;
  for (const auto& family : registry_.collectable()->Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      for (const auto& label : metric.label) {
        if (label.name != "model" || label.value != "demo") continue;
        const bool histogram = family.type == prometheus::MetricType::Histogram;
        lines += histogram ? metric.histogram.bucket.size() + 2 : 1;
      }
    }
  }
  EXPECT_GT(lines, 100u);
  EXPECT_LT(lines, 2000u);
}

TEST_F(MetricsObserverTest, SpansCountByTheirFate) {
  const std::map<SpanFate, std::string> fates = {{SpanFate::kWritten, "written"},
                                                 {SpanFate::kQueueFull, "queue_full"},
                                                 {SpanFate::kWriteFailed, "write_failed"}};
  std::int64_t expected = 0;
  for (const auto& [fate, label] : fates) {
    observer_.OnSpans(fate, ++expected, "");
    EXPECT_EQ(CounterValue(registry_, "reprise_trace_spans_total", {{"fate", label}}), expected);
  }
}

TEST_F(MetricsObserverTest, TellsWhenTheCertificateExpires) {
  for (const int seconds : {1'800'000'000, 1'900'000'000}) {
    observer_.OnCertificate(std::chrono::system_clock::time_point(std::chrono::seconds(seconds)));
    EXPECT_EQ(GaugeValue(registry_, "reprise_tls_certificate_expiry_timestamp_seconds"), seconds);
  }
}

TEST_F(MetricsObserverTest, DrainingIsSetOnce) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_draining"), 0);
  observer_.OnDraining();
  EXPECT_EQ(GaugeValue(registry_, "reprise_draining"), 1);
}

TEST_F(MetricsObserverTest, BuildInfoNamesReleaseAndCommit) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_build_info", {{"version", "0.1.0"}, {"commit", "abc"}}),
            1);
}

TEST_F(MetricsObserverTest, TheMemoryLimitIsToldFromTheStart) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_memory_limit_bytes"), 4096);
}

TEST_F(MetricsObserverTest, EventsOfManyThreadsAreAllCounted) {
  const engine::ExecutionReport report = Report();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string other = "model-" + std::to_string(i);
      for (int n = 0; n < 200; ++n) {
        observer_.OnInferenceFinished(Answered());
        observer_.OnBatchFinished(Batch(&report));
        observer_.OnModelState(other, "1", ModelState::kReady, "");
        observer_.OnInflight(other, "1", n);
        if (n % 20 == 0) observer_.OnModelUnloaded(other, "1");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(HistogramOf(registry_, "reprise_request_duration_seconds", kDemo).count, 800);
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", Demo("kind", "real")), 800 * 120);
}

}  // namespace
}  // namespace reprise::server::metrics
