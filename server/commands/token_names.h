// Token ids as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reprise::server::commands {

// By the vocabulary in the tokenizer.json of the checkpoint `model`, as it writes them ("##ing");
// "#17" for an id that is not there, and for all when the file has another form.
std::vector<std::string> TokenNames(const std::string& model, const std::vector<std::int32_t>& ids);

}  // namespace reprise::server::commands
