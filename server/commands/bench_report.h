// A benchmark's rows as JSON and as a table.
#pragma once

#include <string>
#include <vector>

#include "nlohmann/json_fwd.hpp"
#include "server/commands/bench_timing.h"

namespace reprise::server::commands {

// {"plan", "weights", "batch_size", "seq_len", "tokens", "precision", "executors", "threads",
// "strategy", "repetitions", "min_ms", "median_ms", "ratio_to_exact" (null without an exact row),
// "tokens_per_second", "scores_computed", ...}: times in milliseconds, everything else of one
// batch.
nlohmann::ordered_json ToJson(const BenchRow& row);

// The rows, what their columns mean, and a line for weights that were filled at random.
std::string DrawBenchTable(const std::vector<BenchRow>& rows);
// Milliseconds per part of the model, medians of each.
std::string DrawPhaseTable(const std::vector<BenchRow>& rows);

}  // namespace reprise::server::commands
