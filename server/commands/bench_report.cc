#include "server/commands/bench_report.h"

#include <array>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/commands/quantity_text.h"
#include "server/commands/text_table.h"
#include "server/repository/serving_options.h"

namespace reprise::server::commands {
namespace {

constexpr std::array<const char*, engine::kNumPhases> kPhaseNames = {
    "embedding", "input_projection", "attention", "output_projection", "feed_forward", "pooling"};

std::string Fixed(double value, int decimals) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

// Share of all scores, for example "50 %".
std::string Share(std::int64_t part, const engine::ScoreCounts& scores) {
  const std::int64_t total = scores.computed + scores.reused + scores.recomputed;
  if (total == 0) return "-";
  return Fixed(100.0 * static_cast<double>(part) / static_cast<double>(total), 0) + " %";
}

std::vector<std::string> CaseColumns(const BenchRow& row) {
  const bool reuses = row.scores.reused + row.scores.recomputed > 0;
  return {row.plan, std::string(engine::Name(row.precision)),
          reuses ? std::string(repository::Name(row.strategy)) : "-", absl::StrCat(row.batch_size),
          absl::StrCat(row.tokens == row.batch_size * row.seq_len ? "" : "<=", row.seq_len)};
}

const std::vector<std::string> kCaseHeadings = {"plan", "precision", "strategy", "batch", "length"};
const std::vector<bool> kCaseAlignment = {true, true, true, false, false};

template <typename T>
std::vector<T> Joined(std::vector<T> first, const std::vector<T>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

nlohmann::ordered_json ToJson(const BenchRow& row) {
  const engine::ExecutionReport& report = row.report;
  nlohmann::ordered_json phases = nlohmann::ordered_json::object();
  for (int phase = 0; phase < engine::kNumPhases; ++phase) {
    phases[kPhaseNames[phase]] = row.phase_ms[phase];
  }
  nlohmann::ordered_json ratio = nullptr;
  if (row.ratio_to_exact > 0) ratio = row.ratio_to_exact;
  return {{"plan", row.plan},
          {"weights", row.weights},
          {"batch_size", row.batch_size},
          {"seq_len", row.seq_len},
          {"tokens", row.tokens},
          {"precision", engine::Name(row.precision)},
          {"executors", row.executors},
          {"threads", row.threads},
          {"strategy", repository::Name(row.strategy)},
          {"repetitions", row.repetitions},
          {"min_ms", row.min_ms},
          {"median_ms", row.median_ms},
          {"ratio_to_exact", ratio},
          {"tokens_per_second", row.tokens_per_second},
          {"phases_ms", phases},
          {"scores_computed", row.scores.computed},
          {"scores_reused", row.scores.reused},
          {"scores_recomputed", row.scores.recomputed},
          {"multiply_adds", report.multiply_adds},
          {"multiply_adds_exact", report.multiply_adds_exact},
          {"parameter_count", row.parameter_count},
          {"parameter_bytes", row.parameter_bytes},
          {"arena_bytes", report.arena_bytes},
          {"arena_peak_bytes", report.arena_peak_bytes},
          {"score_cache_capacity_bytes", report.score_cache_capacity_bytes},
          {"score_cache_peak_bytes", report.score_cache_peak_bytes},
          {"stored_groups", report.stored_groups},
          {"recompute_groups", report.recompute_groups},
          {"fused_groups", report.fused_groups}};
}

std::string DrawBenchTable(const std::vector<BenchRow>& rows) {
  std::vector<std::vector<std::string>> cells = {
      Joined<std::string>(kCaseHeadings, {"min ms", "median ms", "/exact", "tokens/s", "reused",
                                          "rebuilt", "GMAC", "weights", "arena", "scores kept"})};
  for (const BenchRow& row : rows) {
    const engine::ExecutionReport& report = row.report;
    cells.push_back(Joined<std::string>(
        CaseColumns(row),
        {Fixed(row.min_ms, 2), Fixed(row.median_ms, 2),
         row.ratio_to_exact > 0 ? Fixed(row.ratio_to_exact, 3) : "-",
         Fixed(row.tokens_per_second, 0), Share(row.scores.reused, row.scores),
         Share(row.scores.recomputed, row.scores),
         Fixed(1e-9 * static_cast<double>(report.multiply_adds), 2), ByteText(row.parameter_bytes),
         ByteText(report.arena_peak_bytes), ByteText(report.score_cache_peak_bytes)}));
  }
  std::string text = DrawTable(cells, Joined<bool>(kCaseAlignment, std::vector<bool>(10, false)));
  text +=
      "/exact: median over that of the plan exact, below 1 is faster. reused, rebuilt: share of "
      "the "
      "scores read\nfrom the score cache, or made again from the source layer's queries and keys. "
      "GMAC: 10^9 multiply-adds of a batch.\n";
  for (const BenchRow& row : rows) {
    if (row.weights.find("filled") == std::string::npos) continue;
    absl::StrAppend(&text, "The plan ", row.plan,
                    " has query and key weights that the checkpoint lacks, drawn at random: its "
                    "speed and memory are real, its answers are not.\n");
    break;
  }
  return text;
}

std::string DrawPhaseTable(const std::vector<BenchRow>& rows) {
  std::vector<std::vector<std::string>> cells = {Joined<std::string>(
      kCaseHeadings,
      {"embedding", "qkv", "attention", "output", "feed forward", "pooling", "sum", "median ms"})};
  for (const BenchRow& row : rows) {
    std::vector<std::string> columns = CaseColumns(row);
    double sum = 0;
    for (const double milliseconds : row.phase_ms) {
      columns.push_back(Fixed(milliseconds, 2));
      sum += milliseconds;
    }
    columns.push_back(Fixed(sum, 2));
    columns.push_back(Fixed(row.median_ms, 2));
    cells.push_back(std::move(columns));
  }
  return DrawTable(cells, Joined<bool>(kCaseAlignment, std::vector<bool>(8, false)));
}

}  // namespace reprise::server::commands
