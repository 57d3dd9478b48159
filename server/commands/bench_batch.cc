#include "server/commands/bench_batch.h"

#include <algorithm>
#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace reprise::server::commands {
namespace {

absl::Status NotIds(const std::string& path, const std::string& found) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, " has ", found,
                   "; expected a JSON list of sequences, each a list of token ids, such as "
                   "[[101, 7592, 102]]"));
}

}  // namespace

void TokenBatch::Add(const std::vector<std::int32_t>& sequence) {
  input_ids.insert(input_ids.end(), sequence.begin(), sequence.end());
  cu_seqlens.push_back(static_cast<std::int32_t>(input_ids.size()));
}

engine::RaggedBatch TokenBatch::view() const {
  return {
      .cu_seqlens = cu_seqlens, .input_ids = input_ids, .token_type_ids = {}, .position_ids = {}};
}

std::vector<std::int64_t> TokenBatch::lengths() const {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 1; i < cu_seqlens.size(); ++i) {
    lengths.push_back(cu_seqlens[i] - cu_seqlens[i - 1]);
  }
  return lengths;
}

std::int64_t TokenBatch::longest() const {
  const std::vector<std::int64_t> all = lengths();
  return all.empty() ? 0 : *std::max_element(all.begin(), all.end());
}

TokenBatch RandomBatch(const std::vector<std::int64_t>& lengths, int vocab_size,
                       std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::uniform_int_distribution<std::int32_t> ids(0, vocab_size - 1);
  TokenBatch batch;
  for (const std::int64_t length : lengths) {
    std::vector<std::int32_t> sequence(length);
    for (std::int32_t& id : sequence) id = ids(generator);
    batch.Add(sequence);
  }
  return batch;
}

absl::StatusOr<TokenBatch> ReadTokenBatch(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path, ": name a JSON file"));
  const nlohmann::json document = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!document.is_array()) return NotIds(path, "no list");
  if (document.empty()) return NotIds(path, "an empty list");
  TokenBatch batch;
  for (const nlohmann::json& row : document) {
    if (!row.is_array() || row.empty()) return NotIds(path, "a sequence that is no list of ids");
    std::vector<std::int32_t> sequence;
    for (const nlohmann::json& id : row) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX) {
        return NotIds(path, "an id that is no number from 0 to 2147483647");
      }
      sequence.push_back(id.get<std::int32_t>());
    }
    batch.Add(sequence);
  }
  return batch;
}

}  // namespace reprise::server::commands
