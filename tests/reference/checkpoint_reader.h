// Reads a BERT checkpoint directory into the reference, so that the reference itself can be held
// against answers of other implementations.
#pragma once

#include <filesystem>

#include "tests/reference/bert.h"

namespace reprise::reference {

// Understands what WriteCheckpoint writes into one file, and sentence-transformers models of BERT.
// Throws std::exception on anything else.
BertModel ReadCheckpoint(const std::filesystem::path& directory);

}  // namespace reprise::reference
