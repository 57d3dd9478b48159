#include "server/batching/wait_forecast.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/batching/queued_items.h"

namespace reprise::server::batching {
namespace {

using std::chrono::milliseconds;

// A millisecond for ten tokens.
BatchTimes Times() {
  BatchTimes times;
  times.Record(100, milliseconds(10));
  return times;
}

constexpr BatchLimits kLimits{.max_rows = 100, .max_tokens = 100, .max_score_bytes = 1000};

class WaitForecastTest : public ::testing::Test {
 protected:
  void Wait(int items, std::int64_t tokens, std::int64_t rows = 1, std::int64_t score_bytes = 1) {
    for (int i = 0; i < items; ++i) {
      QueuedItem item = OneRow(line_.size(), tokens);
      item.rows = rows;
      item.score_bytes = score_bytes;
      line_.Insert(item, "a");
    }
  }
  Forecast Predict(std::int64_t tokens, std::vector<SteadyClock::time_point> free_at = {kNow}) {
    return Predict(line_, tokens, std::move(free_at));
  }

  Forecast Predict(const WaitingLine& line, std::int64_t tokens,
                   std::vector<SteadyClock::time_point> free_at) {
    return PredictRun({.line = line,
                       .item = OneRow(999, tokens),
                       .ahead = {.waiting = line.tokens(), .to_come = to_come_},
                       .tokens_per_second = tokens_per_second_,
                       .limits = kLimits,
                       .times = times_,
                       .free_at = std::move(free_at)},
                      kNow);
  }

  const BatchTimes times_ = Times();
  WaitingLine line_{FifoRules()};
  double tokens_per_second_ = 0;
  std::int64_t to_come_ = 0;
};

TEST_F(WaitForecastTest, AnIdleExecutorStartsAtOnce) {
  EXPECT_EQ(Predict(50).start, kNow);
  EXPECT_EQ(Predict(50).finish, kNow + milliseconds(5));
  EXPECT_EQ(Predict(50, {kNow - milliseconds(9)}).start, kNow);
}

TEST_F(WaitForecastTest, ABusyOneIsAwaited) {
  const Forecast forecast = Predict(50, {kNow + milliseconds(7), kNow + milliseconds(3)});
  EXPECT_EQ(forecast.start, kNow + milliseconds(3));
  EXPECT_EQ(forecast.finish, kNow + milliseconds(8));
}

TEST_F(WaitForecastTest, WhatFitsSharesTheBatch) {
  Wait(3, 20);
  EXPECT_EQ(Predict(40).start, kNow);
  EXPECT_EQ(Predict(40).finish, kNow + milliseconds(10));
}

TEST_F(WaitForecastTest, WhatIsAheadRunsInFullBatches) {
  Wait(10, 23);
  EXPECT_EQ(Predict(20).start, kNow + milliseconds(20));
  EXPECT_EQ(Predict(20).finish, kNow + milliseconds(25));
}

TEST_F(WaitForecastTest, ExecutorsShareTheWork) {
  Wait(10, 23);
  EXPECT_EQ(Predict(20, {kNow, kNow}).finish, kNow + milliseconds(15));
  EXPECT_EQ(Predict(20, {kNow, kNow, kNow}).finish, kNow + milliseconds(5));
}

TEST_F(WaitForecastTest, WhatComesMeanwhileJoinsTheBatchAsFarAsItFits) {
  tokens_per_second_ = 1000;
  const SteadyClock::time_point free_at = kNow + milliseconds(30);
  EXPECT_EQ(Predict(50, {free_at}).finish, free_at + milliseconds(8));
  EXPECT_EQ(Predict(90, {free_at}).finish, free_at + milliseconds(10));
  EXPECT_EQ(Predict(50, {kNow}).finish, kNow + milliseconds(5));
}

// 130 tokens ahead: a full batch until 10 ms, and 30 with the item until 14 ms. Of the 14 that come
// until then half go before it.
TEST_F(WaitForecastTest, WhatOthersSendMeanwhileGoesBeforeItAsFarAsTheyHaveTurns) {
  Wait(13, 10);
  tokens_per_second_ = 1000;
  to_come_ = 1000;
  EXPECT_EQ(Predict(10).finish, kNow + milliseconds(10) + milliseconds(4) + milliseconds(1));
  to_come_ = 2;
  EXPECT_EQ(Predict(10).start, kNow + milliseconds(10));
}

TEST_F(WaitForecastTest, ABatchMayBeFullByRowsOrScoreBytes) {
  Wait(10, 10, /*rows=*/20);
  const auto by_rows = Predict(10).finish;  // about 5 of these make a batch
  EXPECT_GT(by_rows, kNow + milliseconds(10));
  line_.Remove(0);
  WaitingLine by_scores(FifoRules());
  for (ItemId id = 0; id < 10; ++id) {
    QueuedItem item = OneRow(id, 10);
    item.score_bytes = 500;
    by_scores.Insert(item, "a");
  }
  const Forecast forecast = Predict(by_scores, 10, {kNow});
  EXPECT_GT(forecast.start, kNow + milliseconds(7));
}

}  // namespace
}  // namespace reprise::server::batching
