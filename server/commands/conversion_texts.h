// The texts that a conversion is fitted on and those that it is judged by.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/commands/conversion_options.h"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

struct HeldOutTexts {
  std::string name;  // of their file, or that they are a part of the others
  TokenizedTexts texts;
};

struct ConversionTexts {
  TokenizedTexts calibration;
  std::vector<HeldOutTexts> held_out;
};

// Draws the texts of --text, at most max_position_embeddings tokens of each, and keeps every fifth
// out of the calibration unless --held-out names files of their own. InvalidArgument for too few of
// either; the errors of DrawTexts.
absl::StatusOr<ConversionTexts> DrawConversionTexts(const ConvertOptions& options,
                                                    int max_position_embeddings);

// At most `wanted` of them, evenly spread.
TokenizedTexts EverySoMany(const TokenizedTexts& texts, std::size_t wanted);

// Files with their hashes, how many texts were drawn and by which seed, for conversion.json.
absl::StatusOr<nlohmann::ordered_json> DescribeTexts(const ConvertOptions& options,
                                                     const ConversionTexts& texts);

}  // namespace reprise::server::commands
