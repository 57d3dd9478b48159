#include "server/trace/tracing_observer.h"

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/trace/traces.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::trace {
namespace {

using testing::AttributesOf;
using testing::milliseconds;
using testing::SpansByName;

TraceContext Trace(const std::string& last_digits, const std::string& parent = "",
                   bool caller_samples = false) {
  TraceContext trace;
  trace.trace_id = "0af7651916cd43dd84" + last_digits;
  trace.span_id = "00f067aa0ba902b7";
  trace.parent_span_id = parent;
  trace.caller_samples = caller_samples;
  return trace;
}

TEST(Samples, ACallersFlagDecides) {
  for (const double rate : {0.0, 0.5, 1.0}) {
    EXPECT_TRUE(Samples(Trace("48eb211c80319c", "b7ad6b7169203331", true), rate));
    EXPECT_FALSE(Samples(Trace("48eb211c80319c", "b7ad6b7169203331", false), rate));
  }
}

TEST(Samples, WithoutACallersFlagTheTraceIdDecides) {
  EXPECT_FALSE(Samples(Trace("ffffffffffffff"), 0));
  EXPECT_TRUE(Samples(Trace("00000000000000"), 1));
  EXPECT_TRUE(Samples(Trace("c0000000000000"), 0.25));
  EXPECT_FALSE(Samples(Trace("bfffffffffffff"), 0.25));
}

TEST(Samples, NewTracesAreSampledAtTheRate) {
  int sampled = 0;
  for (int i = 0; i < 10000; ++i) sampled += Samples(BeginTrace({}, {}), 0.1);
  EXPECT_NEAR(sampled, 1000, 200);  // 6 standard deviations
}

class TracingObserverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto file = TraceFile::Open({.path = path_}, ignore_);
    ASSERT_OK(file);
    file_ = *std::move(file);
  }
  // What was written; closes the file.
  std::vector<std::string> Lines() {
    file_.reset();
    std::ifstream file(path_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  reprise::testing::TemporaryDirectory folder_;
  const std::string path_ = folder_ / "spans.jsonl";
  Observer ignore_;
  std::unique_ptr<TraceFile> file_;
};

TEST_F(TracingObserverTest, ACallIsWrittenOnceWhateverIsReportedOfIt) {
  TracingObserver observer(*file_, 1);
  const TraceContext trace = Trace("48eb211c80319c");
  observer.OnInferenceFinished({.protocol = "grpc",
                                .method = "ModelInfer",
                                .model = "demo",
                                .version = "3",
                                .code = absl::StatusCode::kCancelled,
                                .arrival = SteadyClock::now() - milliseconds(5),
                                .duration = milliseconds(5),
                                .trace = &trace});
  observer.OnRpcFinished({.protocol = "grpc", .method = "ModelInfer"});  // the same
  observer.OnRpcFinished(
      {.protocol = "grpc", .method = "ServerLive", .arrival = SteadyClock::now(), .trace = &trace});
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  const auto spans = SpansByName(lines[0]);
  EXPECT_EQ(AttributesOf(spans.at("grpc ModelInfer"))["rpc.grpc.status_code"], "1");
  EXPECT_EQ(SpansByName(lines[1]).count("grpc ServerLive"), 1u);
}

TEST_F(TracingObserverTest, TimesAreThoseOfTheCalendar) {
  TracingObserver observer(*file_, 1);
  const TraceContext trace = Trace("48eb211c80319c");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  observer.OnRpcFinished(
      {.protocol = "grpc", .method = "ServerLive", .arrival = SteadyClock::now(), .trace = &trace});
  const auto spans = SpansByName(Lines().at(0));
  const auto start =
      std::stoll(spans.at("grpc ServerLive")["startTimeUnixNano"].get<std::string>());
  EXPECT_NEAR(static_cast<double>(start),
              static_cast<double>(std::chrono::nanoseconds(now).count()), 1e9);
}

TEST_F(TracingObserverTest, CallsThatAreNotSampledAreNotWritten) {
  TracingObserver observer(*file_, 0);
  const TraceContext trace = Trace("48eb211c80319c");
  observer.OnRpcFinished({.protocol = "grpc", .method = "ServerLive", .trace = &trace});
  observer.OnInferenceFinished({.protocol = "grpc", .method = "ModelInfer", .trace = &trace});
  EXPECT_TRUE(Lines().empty());
}

TEST_F(TracingObserverTest, WhatACallerChoseIsCutShort) {
  TracingObserver observer(*file_, 1);
  const TraceContext trace = Trace("48eb211c80319c");
  const std::string name(100'000, 'n');
  observer.OnInferenceFinished(
      {.protocol = "grpc", .method = "ModelInfer", .id = name, .model = name, .trace = &trace});
  EXPECT_LT(Lines().at(0).size(), 4000u);
}

}  // namespace
}  // namespace reprise::server::trace
