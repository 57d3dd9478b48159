// The same model converted for several budgets: what each costs in quality and brings in speed.
#pragma once

#include "absl/status/status.h"
#include "server/commands/conversion_options.h"

namespace reprise::server::commands {

// Converts for each of the options' sweep budgets into a scratch folder, judges and times it beside
// the original, prints the table, and writes options.output/sweep.json and sweep.html. Quality is
// reported, not asked for: --min-quality does not count. The errors of CalibratedConverter and of
// writing.
absl::Status SweepBudgets(const ConvertOptions& options);

}  // namespace reprise::server::commands
