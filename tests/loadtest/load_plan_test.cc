#include "loadtest/generator/load_plan.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::loadtest {
namespace {

using ::reprise::testing::StatusIs;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

LoadOptions OpenLoop() {
  LoadOptions options;
  options.model = "m";
  options.rate = 500;
  options.warm_up = milliseconds(100);
  options.duration = milliseconds(900);
  return options;
}

TEST(LoadPlan, HasTheRateAndEachLengthOnce) {
  LoadOptions options = OpenLoop();
  options.lengths = {{16, 20, 1}};
  const auto plan = MakeLoadPlan(options);
  ASSERT_OK(plan);
  EXPECT_NEAR(static_cast<double>(plan->calls.size()), 500, 110);
  ASSERT_EQ(plan->requests.size(), 5u);
  std::set<std::int64_t> lengths;
  for (const auto& request : plan->requests) {
    EXPECT_EQ(request.model_name(), "m");
    ASSERT_EQ(request.inputs_size(), 1);
    EXPECT_EQ(request.inputs(0).shape(0), 1);
    lengths.insert(request.inputs(0).shape(1));
    EXPECT_EQ(request.raw_input_contents(0).size(), 8u * request.inputs(0).shape(1));
  }
  EXPECT_EQ(lengths, (std::set<std::int64_t>{16, 17, 18, 19, 20}));
  for (std::size_t i = 1; i < plan->calls.size(); ++i) {
    EXPECT_LE(plan->calls[i - 1].due, plan->calls[i].due);
  }
}

TEST(LoadPlan, IsTheSameForTheSameSeed) {
  LoadOptions options = OpenLoop();
  const auto first = MakeLoadPlan(options), second = MakeLoadPlan(options);
  options.seed = 2;
  const auto other = MakeLoadPlan(options);
  ASSERT_OK(first);
  EXPECT_EQ(first->calls.front().due, second->calls.front().due);
  EXPECT_EQ(first->requests[0].SerializeAsString(), second->requests[0].SerializeAsString());
  EXPECT_NE(first->calls.front().due, other->calls.front().due);
}

TEST(LoadPlan, TextsAreBytesWithTheirLengthBefore) {
  LoadOptions options = OpenLoop();
  options.texts = {"ab", "cde"};
  const auto plan = MakeLoadPlan(options);
  ASSERT_OK(plan);
  ASSERT_EQ(plan->requests.size(), 2u);
  EXPECT_EQ(plan->requests[0].inputs(0).datatype(), "BYTES");
  EXPECT_EQ(plan->requests[0].raw_input_contents(0), std::string("\x02\0\0\0ab", 6));
  EXPECT_EQ(plan->requests[1].raw_input_contents(0), std::string("\x03\0\0\0cde", 7));
  std::set<std::uint32_t> used;
  for (const PlannedCall& call : plan->calls) used.insert(call.request);
  EXPECT_EQ(used.size(), 2u);
}

TEST(LoadPlan, ATraceGivesTimesLengthsRowsPrioritiesClientsAndDeadlines) {
  LoadOptions options = OpenLoop();
  options.rate = 0;
  options.deadline = milliseconds(70);
  options.trace = R"({"at_ms": 150, "tokens": [8, 8], "priority": 1, "client": "a"}
{"at_ms": 20, "tokens": 4, "timeout_ms": 30}
{"at_ms": 5000, "tokens": 4})";
  const auto plan = MakeLoadPlan(options);
  ASSERT_OK(plan);
  ASSERT_EQ(plan->calls.size(), 2u) << "one is due after the end";
  EXPECT_EQ(plan->calls[0].due, milliseconds(20));
  EXPECT_EQ(plan->calls[0].timeout, milliseconds(30));
  EXPECT_EQ(plan->calls[1].timeout, milliseconds(70));
  EXPECT_EQ(plan->calls[1].client, "a");
  const auto& request = plan->requests[plan->calls[1].request];
  EXPECT_EQ(request.inputs(0).shape(0), 2);
  EXPECT_EQ(request.inputs(0).shape(1), 8);
  EXPECT_EQ(request.parameters().at("priority").int64_param(), 1);
}

TEST(LoadPlan, WhatCannotBeSentIsSaid) {
  const auto refused = [](LoadOptions options, const char* what) {
    EXPECT_THAT(MakeLoadPlan(options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)));
  };
  LoadOptions trace = OpenLoop();
  trace.rate = 0;
  trace.trace = R"({"at_ms": 150, "tokens": [8, 9]})";
  refused(trace, "several lengths");
  trace.trace = R"({"at_ms": 150, "tokens": 2000000})";
  refused(trace, "2000000 tokens");
  trace.trace = "no JSON";
  refused(trace, "line 1");
  trace.trace = R"({"at_ms": 1, "tokens": 8})";
  refused(trace, "no call is due after the warm-up of 100 ms");
}

TEST(LoadPlan, EndsAfterAsManyCallsAsAskedFor) {
  LoadOptions options = OpenLoop();
  options.max_calls = 100;
  EXPECT_EQ(MakeLoadPlan(options)->calls.size(), 100u);
}

}  // namespace
}  // namespace reprise::loadtest
