#include "server/simulation/simulator.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/simulation/synthetic_trace.h"

namespace reprise::server::simulation {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

// A millisecond for each token.
SimulationOptions Options() {
  return {.rules = {.limits = {.max_rows = 8,
                               .max_tokens = 100,
                               .max_score_bytes = 1 << 30,
                               .max_overtakes = 4},
                    .line = {.priority_levels = 2,
                             .ageing = std::chrono::seconds(10),
                             .ordering_horizon = std::chrono::seconds(1),
                             .turn_tokens = 12,
                             .max_clients = 100},
                    .default_priority = 2},
          .bounds = {.requests = 1000,
                     .rows = 1000,
                     .tokens = 100'000,
                     .bytes = 1'000'000,
                     .score_bytes = 1 << 30},
          .cost = {.per_token_us = 1000}};
}

Arrival At(int ms, std::int64_t tokens, int timeout_ms = 0) {
  return {.at = milliseconds(ms), .row_tokens = {tokens}, .timeout = milliseconds(timeout_ms)};
}

// "in_time 30 | late 40 | expired | refused": fate, and latency in ms where there is one.
std::vector<std::string> Fates(const SimulationResult& result) {
  std::vector<std::string> fates;
  for (const RequestOutcome& outcome : result.requests) {
    constexpr const char* kNames[] = {"in time", "late", "expired", "refused"};
    std::string text = kNames[static_cast<int>(outcome.fate)];
    if (outcome.latency.count() > 0) {
      absl::StrAppend(&text, " ",
                      std::chrono::duration_cast<milliseconds>(outcome.latency).count());
    }
    fates.push_back(text);
  }
  return fates;
}

SimulationOptions WithoutPrediction() {
  SimulationOptions options = Options();
  options.rules.predict = false;
  return options;
}

TEST(Simulator, RequestsThatComeWhileBusyShareABatch) {
  const SimulationResult result =
      Simulate({At(0, 10), At(1, 20), At(2, 30), At(100, 5)}, WithoutPrediction());
  EXPECT_THAT(Fates(result), ElementsAre("in time 10", "in time 59", "in time 58", "in time 5"));
  ASSERT_EQ(result.batches.size(), 3u);
  EXPECT_EQ(result.batches[1].tokens, 50);
  EXPECT_EQ(result.batches[1].requests, 2);
  EXPECT_EQ(result.batches[1].closed, BatchCloseReason::kIdle);
  EXPECT_EQ(result.duration, milliseconds(105));
}

TEST(Simulator, ExecutorsRunAtTheSameTime) {
  SimulationOptions options = WithoutPrediction();
  options.executors = 2;
  EXPECT_THAT(Fates(Simulate({At(0, 10), At(0, 90), At(1, 20), At(2, 30)}, options)),
              ElementsAre("in time 100", "in time 100", "in time 20", "in time 49"));
}

TEST(Simulator, RefusesWhatWouldBeLate) {
  EXPECT_THAT(Fates(Simulate({At(0, 50), At(1, 30, 60), At(1, 30, 90)}, Options())),
              ElementsAre("in time 50", "refused", "in time 79"));
}

TEST(Simulator, WithoutPredictionItExpiresOrIsLate) {
  SimulationOptions options = WithoutPrediction();
  EXPECT_THAT(Fates(Simulate({At(0, 50), At(1, 30, 60), At(1, 30, 10)}, options)),
              ElementsAre("in time 50", "late 79", "expired"));
}

TEST(Simulator, TheQueueTimeoutIsADeadline) {
  SimulationOptions options = WithoutPrediction();
  options.queue_timeout = milliseconds(20);
  const SimulationResult result = Simulate({At(0, 50), At(1, 30), At(2, 10, 500)}, options);
  EXPECT_THAT(Fates(result), ElementsAre("late 50", "expired", "expired"));
  EXPECT_EQ(result.requests[1].wait, milliseconds(20));
}

TEST(Simulator, BoundsAndLimitsRefuseAsTheServerDoes) {
  SimulationOptions options = Options();
  options.bounds.requests = 1;
  const SimulationResult result = Simulate({At(0, 50), At(1, 30), At(1, 10), At(1, 101)}, options);
  EXPECT_EQ(result.requests[1].refusal, RefusalReason::kNone);
  EXPECT_EQ(result.requests[2].refusal, RefusalReason::kQueueRequests);
  EXPECT_EQ(result.requests[3].refusal, RefusalReason::kInvalid);
}

TEST(Simulator, PrioritiesAndClientsAreServedInTheirOrder) {
  ArrivalTrace trace = {At(0, 100), At(1, 60), At(1, 60), At(1, 60), At(1, 60)};
  trace[3].priority = 1;
  trace[4].client = "other";
  EXPECT_THAT(
      Fates(Simulate(trace, WithoutPrediction())),
      ElementsAre("in time 100", "in time 219", "in time 339", "in time 159", "in time 279"));
}

TEST(Simulator, WaitsForCompanyAsLongAsItIsTold) {
  SimulationOptions options = WithoutPrediction();
  options.rules.limits.max_delay = milliseconds(5);
  const SimulationResult result = Simulate({At(0, 10), At(4, 10), At(100, 10)}, options);
  EXPECT_THAT(Fates(result), ElementsAre("in time 25", "in time 21", "in time 15"));
  EXPECT_EQ(result.batches[0].closed, BatchCloseReason::kDelay);
}

TEST(Simulator, IsTheSameEachTime) {
  const ArrivalTrace trace = *MakeSyntheticTrace({.rate = 60,
                                                  .seconds = 20,
                                                  .lengths = {{5, 30, 1}},
                                                  .clients = 3,
                                                  .timeout = milliseconds(150)});
  SimulationOptions options = Options();
  options.jitter = 0.2;
  EXPECT_EQ(Fates(Simulate(trace, options)), Fates(Simulate(trace, options)));
}

double Goodput(const ArrivalTrace& trace, const SimulationOptions& options) {
  const SimulationResult result = Simulate(trace, options);
  const auto in_time =
      std::count_if(result.requests.begin(), result.requests.end(),
                    [](const RequestOutcome& outcome) { return outcome.fate == Fate::kInTime; });
  return static_cast<double>(in_time) / (1e-9 * static_cast<double>(result.duration.count()));
}

// What prediction is for: at half as much again as the executor can do, it goes on doing what it
// can.
TEST(Simulator, GoodputHoldsAtOverload) {
  SimulationOptions options = Options();
  options.jitter = 0.1;
  const auto traffic = [](double rate) {
    return *MakeSyntheticTrace(
        {.rate = rate, .seconds = 60, .lengths = {{5, 15, 1}}, .timeout = milliseconds(100)});
  };
  // 10 tokens, so 10 ms, each: 100 a second is all there is.
  const double capacity = Goodput(traffic(85), options);
  const double overload = Goodput(traffic(150), options);
  EXPECT_GE(overload, 0.95 * capacity);
  options.rules.predict = false;
  EXPECT_LT(Goodput(traffic(150), options), 0.5 * capacity);
}

TEST(Simulator, TellsHowFarItIs) {
  const ArrivalTrace trace =
      *MakeSyntheticTrace({.rate = 1000, .seconds = 5, .lengths = {{1, 1, 1}}});
  std::vector<std::size_t> told;
  Simulate(trace, Options(), [&told](std::size_t arrived) { told.push_back(arrived); });
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_GE(told.size(), 5u);
  EXPECT_EQ(told.back(), trace.size());
}

}  // namespace
}  // namespace reprise::server::simulation
