#include "server/simulation/synthetic_trace.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::simulation {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

TEST(SyntheticTrace, LengthsAreRangesWithWeights) {
  const auto lengths = ParseLengths("16-64x9,512");
  ASSERT_OK(lengths);
  ASSERT_EQ(lengths->size(), 2u);
  EXPECT_EQ((*lengths)[0].low, 16);
  EXPECT_EQ((*lengths)[0].high, 64);
  EXPECT_EQ((*lengths)[0].weight, 9);
  EXPECT_EQ((*lengths)[1].low, 512);
  EXPECT_EQ((*lengths)[1].high, 512);
  EXPECT_EQ((*lengths)[1].weight, 1);
}

TEST(SyntheticTrace, LengthsThatAreNoneAreNamed) {
  for (const char* text : {"", "0", "9-3", "1-2-3", "16x", "16x0", "16x-1", "16xnan", "a", "16,,3",
                           "99999999", "16x1x2"}) {
    EXPECT_THAT(ParseLengths(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no range of lengths")))
        << text;
  }
}

TEST(SyntheticTrace, HasTheRateAndTheLengthsAskedFor) {
  const auto trace = MakeSyntheticTrace({.rate = 1000,
                                         .seconds = 20,
                                         .lengths = {{16, 64, 9}, {512, 512, 1}},
                                         .clients = 4,
                                         .timeout = std::chrono::milliseconds(50)});
  ASSERT_OK(trace);
  EXPECT_NEAR(static_cast<double>(trace->size()), 20000, 600);
  std::map<std::string, int> clients;
  int long_ones = 0;
  double gap_squares = 0;
  for (std::size_t i = 0; i < trace->size(); ++i) {
    const Arrival& arrival = (*trace)[i];
    const std::int64_t tokens = arrival.row_tokens.at(0);
    EXPECT_TRUE((tokens >= 16 && tokens <= 64) || tokens == 512) << tokens;
    if (tokens == 512) ++long_ones;
    ++clients[arrival.client];
    EXPECT_EQ(arrival.timeout, std::chrono::milliseconds(50));
    if (i == 0) continue;
    const double gap = 1e-6 * static_cast<double>((arrival.at - (*trace)[i - 1].at).count());
    ASSERT_GE(gap, 0);
    gap_squares += gap * gap;
  }
  EXPECT_NEAR(long_ones, 2000, 200);
  ASSERT_EQ(clients.size(), 4u);
  for (const auto& [client, count] : clients) EXPECT_NEAR(count, 5000, 400) << client;
  // Exponential gaps of mean 1 ms have mean square 2 ms^2; regular ones would have 1.
  EXPECT_NEAR(gap_squares / static_cast<double>(trace->size()), 2, 0.2);
}

TEST(SyntheticTrace, ConstantArrivalsAreEvenlySpaced) {
  const auto trace = MakeSyntheticTrace(
      {.pattern = ArrivalPattern::kConstant, .rate = 200, .seconds = 2, .lengths = {{8, 8, 1}}});
  ASSERT_OK(trace);
  ASSERT_EQ(trace->size(), 400u);
  for (std::size_t i = 0; i < trace->size(); ++i) {
    EXPECT_NEAR(static_cast<double>((*trace)[i].at.count()), 5e6 * static_cast<double>(i + 1), 1);
  }
}

TEST(SyntheticTrace, BurstsHaveThePausesAndTheMeanRateAskedFor) {
  using std::chrono::milliseconds;
  const auto trace = MakeSyntheticTrace({.pattern = ArrivalPattern::kBurst,
                                         .rate = 1000,
                                         .seconds = 20,
                                         .burst_on = milliseconds(100),
                                         .burst_off = milliseconds(300),
                                         .lengths = {{8, 8, 1}}});
  ASSERT_OK(trace);
  EXPECT_NEAR(static_cast<double>(trace->size()), 20000, 600);
  for (const Arrival& arrival : *trace)
    EXPECT_LE(arrival.at % milliseconds(400), milliseconds(100));
}

TEST(SyntheticTrace, PatternsHaveNames) {
  EXPECT_EQ(*ParseArrivalPattern("constant"), ArrivalPattern::kConstant);
  EXPECT_EQ(*ParseArrivalPattern("burst"), ArrivalPattern::kBurst);
  EXPECT_EQ(*ParseArrivalPattern("poisson"), ArrivalPattern::kPoisson);
  EXPECT_THAT(ParseArrivalPattern("even"), StatusIs(absl::StatusCode::kInvalidArgument,
                                                    HasSubstr("poisson, constant or burst")));
}

TEST(SyntheticTrace, IsTheSameForTheSameSeed) {
  const SyntheticTraceOptions options{.rate = 100, .seconds = 1, .lengths = {{1, 9, 1}}, .seed = 7};
  SyntheticTraceOptions other = options;
  other.seed = 8;
  EXPECT_EQ(TraceText(*MakeSyntheticTrace(options)), TraceText(*MakeSyntheticTrace(options)));
  EXPECT_NE(TraceText(*MakeSyntheticTrace(options)), TraceText(*MakeSyntheticTrace(other)));
}

TEST(SyntheticTrace, OptionsOutOfRangeAreRefused) {
  const std::vector<LengthRange> lengths = {{1, 9, 1}};
  const auto code = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(MakeSyntheticTrace({.rate = 0, .seconds = 1, .lengths = lengths}), StatusIs(code, _));
  EXPECT_THAT(
      MakeSyntheticTrace(
          {.rate = 9, .seconds = 1, .burst_on = std::chrono::nanoseconds(0), .lengths = lengths}),
      StatusIs(code, HasSubstr("bursts of 0 ns")));
  EXPECT_THAT(MakeSyntheticTrace({.rate = 1, .seconds = -1, .lengths = lengths}),
              StatusIs(code, _));
  EXPECT_THAT(MakeSyntheticTrace({.rate = 1e6, .seconds = 1e6, .lengths = lengths}),
              StatusIs(code, HasSubstr("10000000")));
  EXPECT_THAT(MakeSyntheticTrace({.rate = 1, .seconds = 1, .lengths = lengths, .clients = 0}),
              StatusIs(code, HasSubstr("clients")));
  EXPECT_THAT(MakeSyntheticTrace({.rate = 1e-9, .seconds = 1, .lengths = lengths}),
              StatusIs(code, HasSubstr("no request")));
}

}  // namespace
}  // namespace reprise::server::simulation
