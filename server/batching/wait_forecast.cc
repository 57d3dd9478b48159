#include "server/batching/wait_forecast.h"

#include <algorithm>
#include <cmath>

#include "engine/check.h"

namespace reprise::server::batching {
namespace {

// Of what others send while a request waits, what comes early enough to go before it: about half.
constexpr double kShareBefore = 0.5;

// Tokens of a batch that is full by rows, tokens or score bytes, whichever comes first, when its
// requests are like those in the line.
std::int64_t FullBatchTokens(const WaitingLine& line, const QueuedItem& item,
                             const BatchLimits& limits) {
  const auto tokens = static_cast<double>(line.tokens() + item.tokens);
  const auto rows = static_cast<double>(line.rows() + item.rows);
  const auto score_bytes = static_cast<double>(line.score_bytes() + item.score_bytes);
  double full = static_cast<double>(limits.max_tokens);
  if (rows > 0) full = std::min(full, tokens * static_cast<double>(limits.max_rows) / rows);
  if (score_bytes > 0) {
    full = std::min(full, tokens * static_cast<double>(limits.max_score_bytes) / score_bytes);
  }
  return std::max<std::int64_t>({1, item.tokens, static_cast<std::int64_t>(full)});
}

// Runs full batches until no more than one is left of `*tokens`, each on the executor that is free
// first; when one is free for the rest.
SteadyClock::time_point RunFullBatches(std::int64_t full, const BatchTimes& times,
                                       std::int64_t* tokens,
                                       std::vector<SteadyClock::time_point>* free_at) {
  const std::chrono::nanoseconds time = *times.PredictWithMargin(full);
  for (; *tokens > full; *tokens -= full)
    *std::min_element(free_at->begin(), free_at->end()) += time;
  return *std::min_element(free_at->begin(), free_at->end());
}

}  // namespace

Forecast PredictRun(ForecastInput input, SteadyClock::time_point now) {
  const BatchTimes& times = input.times;
  REPRISE_CHECK(!times.empty() && !input.free_at.empty());
  const std::int64_t full = FullBatchTokens(input.line, input.item, input.limits);
  for (auto& time : input.free_at) time = std::max(time, now);

  std::int64_t left = input.ahead.waiting + input.item.tokens;
  SteadyClock::time_point start = RunFullBatches(full, times, &left, &input.free_at);
  const auto come_by = [&](SteadyClock::time_point time) {
    return input.tokens_per_second * std::chrono::duration<double>(time - now).count();
  };
  const double come_meanwhile = come_by(start + *times.PredictWithMargin(left));
  const auto before = static_cast<std::int64_t>(
      std::min(kShareBefore * come_meanwhile, static_cast<double>(input.ahead.to_come)));
  left += before;
  start = RunFullBatches(full, times, &left, &input.free_at);
  // The rest joins its batch as far as it fits.
  const double followers = come_by(start) - static_cast<double>(before);
  const auto room = static_cast<double>(full - left);
  const std::int64_t batch = left + static_cast<std::int64_t>(std::clamp(followers, 0.0, room));
  return {start, start + *times.PredictWithMargin(std::max<std::int64_t>(1, batch))};
}

}  // namespace reprise::server::batching
