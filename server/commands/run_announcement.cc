#include "server/commands/run_announcement.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

#include "engine/check.h"
#include "server/commands/quantity_text.h"

namespace reprise::server::commands {

absl::StatusOr<double> EstimateSeconds(
    const TokenizedTexts& texts,
    const std::function<absl::Status(const std::vector<std::int32_t>& text)>& run) {
  REPRISE_CHECK(!texts.empty());
  const auto seconds_of = [&](std::size_t text) -> absl::StatusOr<double> {
    const auto begin = std::chrono::steady_clock::now();
    REPRISE_RETURN_IF_ERROR(run(texts[text]));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return texts[a].size() < texts[b].size(); });
  const std::size_t middle = order[order.size() / 2], longest = order.back();
  REPRISE_RETURN_IF_ERROR(seconds_of(middle).status());  // memory is fetched and caches are filled
  REPRISE_ASSIGN_OR_RETURN(const double middle_takes, seconds_of(middle));
  const auto m = static_cast<double>(texts[middle].size());
  const auto l = static_cast<double>(texts[longest].size());
  double linear = middle_takes / m, square = 0;
  constexpr std::size_t kMany = 20;  // so that one text more does not count
  if (texts.size() >= kMany && l >= 1.5 * m) {
    REPRISE_ASSIGN_OR_RETURN(const double longest_takes, seconds_of(longest));
    square = std::max(0.0, (longest_takes / l - middle_takes / m) / (l - m));
    linear = std::max(0.0, middle_takes / m - square * m);
  }
  double seconds = 0;
  for (const auto& text : texts) {
    const auto length = static_cast<double>(text.size());
    seconds += linear * length + square * length * length;
  }
  return seconds;
}

void Announce(const TokenizedTexts& texts, int threads, double seconds_of_one_thread,
              std::int64_t bytes, const char* how) {
  std::printf("%zu texts, %s tokens%s, %d threads: about %.0f s and %s of memory\n", texts.size(),
              CountText(static_cast<double>(TokensOf(texts))).c_str(), how, threads,
              seconds_of_one_thread / threads, ByteText(bytes).c_str());
  std::fflush(stdout);
}

}  // namespace reprise::server::commands
