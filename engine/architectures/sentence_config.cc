#include "engine/architectures/sentence_config.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/architectures/config_reader.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "engine/weights/plain_file.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::architectures {
namespace {

using Json = nlohmann::json;
using weights::JsonText;

constexpr char kModulesFile[] = "modules.json";
constexpr char kTextLimitFile[] = "sentence_bert_config.json";

absl::Status InFile(const std::string& path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("'", path, "': ", std::string(status.message())));
}

absl::Status CheckObject(const Json& json, const char* file) {
  if (json.is_object()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file, " is ", JsonText(json), "; expected an object"));
}

// "sentence_transformers.models.Pooling" is "Pooling": the package has moved its classes before.
std::string ClassName(const std::string& type) {
  const std::size_t dot = type.rfind('.');
  return dot == std::string::npos ? type : type.substr(dot + 1);
}

}  // namespace

absl::Status ReadSentenceConfig(const std::string& directory, BertConfig& config) {
  const std::string modules_path = absl::StrCat(directory, "/", kModulesFile);
  if (weights::FileExists(modules_path)) {
    REPRISE_ASSIGN_OR_RETURN(const Json modules, weights::ReadJsonFile(modules_path));
    const absl::StatusOr<std::string> folder = ParseModules(modules, config);
    if (!folder.ok()) return InFile(modules_path, folder.status());
    if (!folder->empty()) {
      const std::string pooling_path = absl::StrCat(directory, "/", *folder, "/config.json");
      REPRISE_ASSIGN_OR_RETURN(const Json pooling, weights::ReadJsonFile(pooling_path));
      REPRISE_RETURN_IF_ERROR(InFile(pooling_path, ParsePooling(pooling, config)));
    }
  }
  const std::string limit_path = absl::StrCat(directory, "/", kTextLimitFile);
  if (!weights::FileExists(limit_path)) return absl::OkStatus();
  REPRISE_ASSIGN_OR_RETURN(const Json limit, weights::ReadJsonFile(limit_path));
  return InFile(limit_path, ParseTextLimit(limit, config));
}

absl::StatusOr<std::string> ParseModules(const Json& modules, BertConfig& config) {
  if (!modules.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kModulesFile, " is ", JsonText(modules), "; expected a list of modules"));
  }
  std::vector<std::string> classes;
  std::vector<std::string> paths;
  for (const Json& module : modules) {
    REPRISE_RETURN_IF_ERROR(CheckObject(module, "a module"));
    const ConfigReader reader(module, "a module");
    REPRISE_ASSIGN_OR_RETURN(const std::string type, reader.String("type", ""));
    REPRISE_ASSIGN_OR_RETURN(paths.emplace_back(), reader.String("path", ""));
    classes.push_back(ClassName(type));
  }
  const std::vector<std::string> known = {"Transformer", "Pooling", "Normalize"};
  const bool is_known = !classes.empty() && classes.size() <= known.size() &&
                        std::equal(classes.begin(), classes.end(), known.begin());
  if (!is_known) {
    return absl::InvalidArgumentError(
        absl::StrCat("the modules are ", JsonText(absl::StrJoin(classes, ", ")),
                     "; expected Transformer, Pooling and optionally Normalize, in this order"));
  }
  if (!paths[0].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the Transformer lies in ", JsonText(paths[0]),
                     "; expected \"\": move that folder's files beside ", kModulesFile));
  }
  config.normalize = classes.size() == 3;
  if (classes.size() == 1) return std::string();
  if (!weights::IsPlainFileName(paths[1])) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the Pooling module lies in ", JsonText(paths[1]), "; expected the name of a folder here"));
  }
  return paths[1];
}

absl::Status ParsePooling(const Json& pooling, BertConfig& config) {
  REPRISE_RETURN_IF_ERROR(CheckObject(pooling, "the pooling config"));
  const ConfigReader reader(pooling, "the pooling config");
  std::vector<std::string> modes;
  for (const auto& [key, value] : pooling.items()) {
    if (!absl::StartsWith(key, "pooling_mode_")) continue;
    REPRISE_ASSIGN_OR_RETURN(const bool is_on, reader.Bool(key, false));
    if (is_on) modes.push_back(key);
  }
  if (modes == std::vector<std::string>{"pooling_mode_mean_tokens"}) {
    config.pooling = Pooling::kMean;
  } else if (modes == std::vector<std::string>{"pooling_mode_cls_token"}) {
    config.pooling = Pooling::kCls;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("the pooling modes that are true are [", absl::StrJoin(modes, ", "),
                     "]; expected exactly one of pooling_mode_mean_tokens and "
                     "pooling_mode_cls_token"));
  }
  constexpr char kWidth[] = "word_embedding_dimension";
  REPRISE_ASSIGN_OR_RETURN(const int width,
                           reader.Integer(kWidth, 1, INT32_MAX, config.hidden_size));
  if (width == config.hidden_size) return absl::OkStatus();
  return reader.Unexpected(kWidth,
                           absl::StrCat(config.hidden_size, ", the hidden_size of config.json"));
}

absl::Status ParseTextLimit(const Json& sentence_config, BertConfig& config) {
  REPRISE_RETURN_IF_ERROR(CheckObject(sentence_config, kTextLimitFile));
  const ConfigReader reader(sentence_config, kTextLimitFile);
  REPRISE_ASSIGN_OR_RETURN(
      config.max_text_tokens,
      reader.Integer("max_seq_length", 1, config.max_position_embeddings, config.max_text_tokens));
  return absl::OkStatus();
}

}  // namespace reprise::engine::architectures
