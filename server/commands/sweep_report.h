// What reuse costs in quality and brings in speed, budget by budget: as JSON, table and page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/commands/calibrated_conversion.h"

namespace reprise::server::commands {

struct SweepPoint {
  double budget = 0;  // as asked for
  int reused_heads = 0;
  int heads = 0;                      // of all layers
  std::vector<NamedQuality> quality;  // of the same texts in every point
  double macs_saved = 0;              // share of the layers' multiply-adds, for one text of seq_len
  // Time of one text of seq_len with one thread, by the original's: as predicted, and as measured.
  double predicted_ratio = 1;
  double exact_ms = 0;
  double milliseconds = 0;
  std::uint64_t weight_bytes = 0;
  std::int64_t score_cache_bytes = 0;  // of that text
};

struct SweepReport {
  std::string model;
  std::string machine;
  std::int64_t seq_len = 0;
  std::vector<SweepPoint> points;
};

nlohmann::ordered_json ToJson(const SweepReport& report);
std::string DrawSweep(const SweepReport& report);
// One file without scripts or links: the curves of quality and of time, and the table.
std::string ToHtml(const SweepReport& report);

}  // namespace reprise::server::commands
