#include "server/commands/token_names.h"

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::server::commands {
namespace {

using Json = nlohmann::json;

// {"word": id} of WordPiece, BPE and WordLevel, [["piece", score], ...] of Unigram.
void AddVocabulary(const Json& vocabulary, std::map<std::int64_t, std::string>* names) {
  std::int64_t place = 0;
  for (const auto& [key, value] : vocabulary.items()) {
    if (value.is_number_integer()) {
      (*names)[value.get<std::int64_t>()] = key;
    } else if (value.is_array() && !value.empty() && value[0].is_string()) {
      (*names)[place] = value[0].get<std::string>();
    }
    ++place;
  }
}

void AddAddedTokens(const Json& added, std::map<std::int64_t, std::string>* names) {
  for (const Json& token : added) {
    if (!token.is_object() || !token.contains("id") || !token.contains("content")) continue;
    if (!token["id"].is_number_integer() || !token["content"].is_string()) continue;
    (*names)[token["id"].get<std::int64_t>()] = token["content"].get<std::string>();
  }
}

}  // namespace

std::vector<std::string> TokenNames(const std::string& model,
                                    const std::vector<std::int32_t>& ids) {
  std::map<std::int64_t, std::string> names;
  const auto json =
      engine::weights::ReadJsonFile((std::filesystem::path(model) / "tokenizer.json").string());
  if (json.ok() && json->is_object()) {
    const auto model_part = json->find("model");
    if (model_part != json->end() && model_part->is_object() && model_part->contains("vocab")) {
      AddVocabulary((*model_part)["vocab"], &names);
    }
    if (json->contains("added_tokens")) AddAddedTokens((*json)["added_tokens"], &names);
  }
  std::vector<std::string> texts;
  for (const std::int32_t id : ids) {
    const auto name = names.find(id);
    texts.push_back(name != names.end() ? name->second : absl::StrCat("#", id));
  }
  return texts;
}

}  // namespace reprise::server::commands
