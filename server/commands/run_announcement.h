// Tells what running texts through a model will take, before it begins.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

// Seconds that one thread takes for all texts, from how long the text of middle length takes and,
// where there are many, the longest: some work grows with a text's length, some with its square.
// `run` runs one text; its errors. Requires: a text.
absl::StatusOr<double> EstimateSeconds(
    const TokenizedTexts& texts,
    const std::function<absl::Status(const std::vector<std::int32_t>& text)>& run);

// Prints it. `bytes`: what the process will have; `how` follows the number of tokens.
void Announce(const TokenizedTexts& texts, int threads, double seconds_of_one_thread,
              std::int64_t bytes, const char* how = "");

}  // namespace reprise::server::commands
