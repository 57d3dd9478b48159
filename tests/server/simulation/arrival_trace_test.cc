#include "server/simulation/arrival_trace.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::simulation {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ArrivalTrace, ReadsALineForEachRequestAndSortsThem) {
  const auto trace = ParseTrace(R"(
{"at_ms": 2.5, "tokens": [3, 4], "priority": 1, "client": "a", "timeout_ms": 40}

{"at_ms": 1, "tokens": 7}
)");
  ASSERT_OK(trace);
  ASSERT_EQ(trace->size(), 2u);
  EXPECT_EQ((*trace)[0].at, std::chrono::milliseconds(1));
  EXPECT_THAT((*trace)[0].row_tokens, ElementsAre(7));
  EXPECT_EQ((*trace)[0].priority, 0);
  EXPECT_EQ((*trace)[0].timeout.count(), 0);
  EXPECT_EQ((*trace)[1].at, std::chrono::microseconds(2500));
  EXPECT_THAT((*trace)[1].row_tokens, ElementsAre(3, 4));
  EXPECT_EQ((*trace)[1].priority, 1);
  EXPECT_EQ((*trace)[1].client, "a");
  EXPECT_EQ((*trace)[1].timeout, std::chrono::milliseconds(40));
}

TEST(ArrivalTrace, ReadsWhatItWrites) {
  const ArrivalTrace trace = {{.at = std::chrono::nanoseconds(1500), .row_tokens = {5}},
                              {.at = std::chrono::milliseconds(3),
                               .row_tokens = {1, 2},
                               .priority = 2,
                               .client = "b \"c\"",
                               .timeout = std::chrono::milliseconds(9)}};
  const auto again = ParseTrace(TraceText(trace));
  ASSERT_OK(again);
  EXPECT_EQ(TraceText(*again), TraceText(trace));
  EXPECT_EQ((*again)[1].client, "b \"c\"");
}

struct BadLine {
  const char* line;
  const char* message;
};

class BadTraceTest : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadTraceTest, IsRefusedWithLineAndReason) {
  const std::string text = std::string("{\"at_ms\": 1, \"tokens\": 7}\n") + GetParam().line;
  EXPECT_THAT(ParseTrace(text),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("line 2"), HasSubstr(GetParam().message))));
}

INSTANTIATE_TEST_SUITE_P(
    ArrivalTrace, BadTraceTest,
    ::testing::Values(BadLine{"at 5", "line 2"}, BadLine{"[1, 2]", "not a JSON object"},
                      BadLine{R"({"tokens": 7})", "'at_ms' is missing"},
                      BadLine{R"({"at_ms": 1})", "'tokens' is missing"},
                      BadLine{R"({"at_ms": -1, "tokens": 7})", "'at_ms' is -1"},
                      BadLine{R"({"at_ms": 1e13, "tokens": 7})", "'at_ms' is"},
                      BadLine{R"({"at_ms": "1", "tokens": 7})", "'at_ms' is"},
                      BadLine{R"({"at_ms": 1, "tokens": 0})", "'tokens' is 0"},
                      BadLine{R"({"at_ms": 1, "tokens": []})", "'tokens' is []"},
                      BadLine{R"({"at_ms": 1, "tokens": [1, 99999999]})", "'tokens' is"},
                      BadLine{R"({"at_ms": 1, "tokens": 1.5})", "'tokens' is 1.5"},
                      BadLine{R"({"at_ms": 1, "tokens": 1, "priority": -1})", "'priority' is -1"},
                      BadLine{R"({"at_ms": 1, "tokens": 1, "client": 3})", "'client' is 3"},
                      BadLine{R"({"at_ms": 1, "tokens": 1, "timeout_ms": -3})", "'timeout_ms'"},
                      BadLine{R"({"at_ms": 1, "tokens": 1, "deadline": 3})",
                              "unknown key 'deadline'"}));

TEST(ArrivalTrace, AnEmptyTraceIsAnError) {
  EXPECT_THAT(ParseTrace("\n  \n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the trace is empty")));
}

}  // namespace
}  // namespace reprise::server::simulation
