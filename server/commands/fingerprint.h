// Tells models, texts and files apart by what they hold.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/weights/checkpoint.h"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

// SHA-256 in hex digits: of the config and of every tensor's name and bytes; reads all of them. Of
// the texts' lengths and token ids, in order.
std::string FingerprintOf(const engine::architectures::BertConfig& config,
                          const engine::weights::Checkpoint& checkpoint);
std::string FingerprintOf(const TokenizedTexts& texts);

// SHA-256 of a file's bytes in hex digits, as sha256sum prints it. NotFound when it cannot be read.
absl::StatusOr<std::string> Sha256OfFile(const std::string& path);

}  // namespace reprise::server::commands
