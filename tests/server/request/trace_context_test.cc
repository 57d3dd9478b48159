#include "server/request/trace_context.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server {
namespace {

using ::testing::MatchesRegex;
using ::testing::Ne;

constexpr char kTraceId[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kParentId[] = "b7ad6b7169203331";
constexpr char kGood[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TraceContext Begin(const std::vector<std::string_view>& traceparent,
                   const std::vector<std::string_view>& tracestate = {}) {
  return BeginTrace(traceparent, tracestate);
}

TEST(TraceContext, ContinuesTheCallersTraceWithASpanOfItsOwn) {
  const TraceContext trace = Begin({kGood}, {"vendor=value"});
  EXPECT_EQ(trace.trace_id, kTraceId);
  EXPECT_EQ(trace.parent_span_id, kParentId);
  EXPECT_THAT(trace.span_id, MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(trace.span_id.size(), 16u);
  EXPECT_THAT(trace.span_id, Ne(kParentId));
  EXPECT_TRUE(trace.caller_samples);
  EXPECT_EQ(trace.trace_state, "vendor=value");
}

TEST(TraceContext, WithoutATraceparentATraceBegins) {
  std::set<std::string> traces;
  std::set<std::string> spans;
  for (int i = 0; i < 1000; ++i) {
    const TraceContext trace = Begin({}, {"vendor=value"});
    EXPECT_FALSE(trace.has_parent());
    EXPECT_FALSE(trace.caller_samples);
    EXPECT_EQ(trace.trace_state, "") << "belongs to a traceparent";
    EXPECT_EQ(trace.trace_id.size(), 32u);
    traces.insert(trace.trace_id);
    spans.insert(trace.span_id);
  }
  EXPECT_EQ(traces.size(), 1000u);
  EXPECT_EQ(spans.size(), 1000u);
}

struct TraceparentCase {
  std::string text;
  bool valid;
  bool sampled = false;
};

class Traceparent : public ::testing::TestWithParam<TraceparentCase> {};

TEST_P(Traceparent, IsReadByTheStandard) {
  const TraceContext trace = Begin({GetParam().text});
  EXPECT_EQ(trace.has_parent(), GetParam().valid) << GetParam().text;
  EXPECT_EQ(trace.trace_id == kTraceId, GetParam().valid);
  EXPECT_EQ(trace.caller_samples, GetParam().sampled);
}

const std::string kIds = std::string(kTraceId) + "-" + kParentId;

INSTANTIATE_TEST_SUITE_P(
    Table, Traceparent,
    ::testing::Values(
        TraceparentCase{"00-" + kIds + "-00", true, false},
        TraceparentCase{"00-" + kIds + "-01", true, true},
        TraceparentCase{"00-" + kIds + "-02", true, false},  // the flag "random"
        TraceparentCase{"00-" + kIds + "-ff", true, true},
        TraceparentCase{"01-" + kIds + "-01", true, true},            // a later version
        TraceparentCase{"cc-" + kIds + "-01-what-more", true, true},  // that says more
        TraceparentCase{"cc-" + kIds + "-01-", true, true},
        TraceparentCase{"cc-" + kIds + "-01.what", false},
        TraceparentCase{"00-" + kIds + "-01-what", false},  // ours says no more
        TraceparentCase{"00-" + kIds + "-01-", false}, TraceparentCase{"ff-" + kIds + "-01", false},
        TraceparentCase{"0-" + kIds + "-01", false}, TraceparentCase{"0x-" + kIds + "-01", false},
        TraceparentCase{"00-" + kIds + "-0", false}, TraceparentCase{"00-" + kIds + "-0x", false},
        TraceparentCase{"00-" + kIds, false}, TraceparentCase{"", false},
        TraceparentCase{"00_" + kIds + "-01", false}, TraceparentCase{"00-" + kIds + "_01", false},
        TraceparentCase{" 00-" + kIds + "-01", false},
        TraceparentCase{"00-" + std::string(kTraceId) + "_" + kParentId + "-01", false},
        TraceparentCase{"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
        TraceparentCase{"00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01", false},
        TraceparentCase{"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        TraceparentCase{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        TraceparentCase{"00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false},
        TraceparentCase{"00-0af7651916cd43dd8448eb211c80319cc-b7ad6b7169203331-01", false},
        TraceparentCase{
            std::string("00-\0af7651916cd43dd8448eb211c80319c", 35) + "-" + kParentId + "-01",
            false}));

TEST(TraceContext, TwoTraceparentsAreNone) { EXPECT_FALSE(Begin({kGood, kGood}).has_parent()); }

TEST(TraceContext, TracestateOfSeveralHeadersIsOneList) {
  EXPECT_EQ(Begin({kGood}, {"a=1, b=2", "c=3"}).trace_state, "a=1,b=2,c=3");
}

struct TracestateCase {
  std::string text;
  std::string expected;
};

class Tracestate : public ::testing::TestWithParam<TracestateCase> {};

TEST_P(Tracestate, IsKeptWhereTheStandardAllowsIt) {
  const TraceContext trace = Begin({kGood}, {GetParam().text});
  EXPECT_EQ(trace.trace_state, GetParam().expected);
  EXPECT_TRUE(trace.has_parent()) << "a bad tracestate leaves the traceparent as it is";
}

std::string Members(int count) {
  std::string list;
  for (int i = 0; i < count; ++i) list += "k" + std::to_string(i) + "=1,";
  list.pop_back();
  return list;
}

INSTANTIATE_TEST_SUITE_P(
    Table, Tracestate,
    ::testing::Values(TracestateCase{"a=1", "a=1"}, TracestateCase{"a=1,,\t b=2 ,", "a=1,b=2"},
                      TracestateCase{"", ""},
                      TracestateCase{"0tenant@system=x", "0tenant@system=x"},
                      TracestateCase{"a_-*/9=x", "a_-*/9=x"}, TracestateCase{"a=b c", "a=b c"},
                      TracestateCase{"a=1,a=2", ""}, TracestateCase{"A=1", ""},
                      TracestateCase{"9a=1", ""}, TracestateCase{"a", ""}, TracestateCase{"=1", ""},
                      TracestateCase{"a=", ""}, TracestateCase{"a=b=c", ""},
                      TracestateCase{"a=\x01", ""}, TracestateCase{"a=\xc3\xa9", ""},
                      TracestateCase{"a@=1", ""}, TracestateCase{"@b=1", ""},
                      TracestateCase{"a@b@c=1", ""}, TracestateCase{"a@9b=1", ""},
                      TracestateCase{std::string(256, 'k') + "=1", std::string(256, 'k') + "=1"},
                      TracestateCase{std::string(257, 'k') + "=1", ""},
                      TracestateCase{"a=" + std::string(257, 'v'), ""},
                      TracestateCase{"t@" + std::string(15, 's') + "=1", ""},
                      TracestateCase{std::string(242, 't') + "@s=1", ""},
                      TracestateCase{Members(32), Members(32)}, TracestateCase{Members(33), ""}));

}  // namespace
}  // namespace reprise::server
