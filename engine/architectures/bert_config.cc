#include "engine/architectures/bert_config.h"

#include <charconv>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_limits.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/config_reader.h"
#include "engine/architectures/sentence_config.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::architectures {
namespace {

using Json = nlohmann::json;

constexpr char kFile[] = "config.json";

struct ActivationName {
  const char* name;
  Activation activation;
};
// The first name of each activation is the one written.
constexpr ActivationName kActivations[] = {{"gelu", Activation::kGeluErf},
                                           {"gelu_new", Activation::kGeluTanh},
                                           {"gelu_pytorch_tanh", Activation::kGeluTanh},
                                           {"relu", Activation::kRelu}};

// Refuses what would be read as a BERT and answer something else.
absl::Status CheckArchitecture(const ConfigReader& reader) {
  REPRISE_ASSIGN_OR_RETURN(const std::string type, reader.String("model_type", "bert"));
  if (type != "bert") {
    return reader.Unexpected("model_type", "\"bert\", the only architecture supported");
  }
  REPRISE_ASSIGN_OR_RETURN(const std::string positions,
                           reader.String("position_embedding_type", "absolute"));
  if (positions != "absolute") {
    return reader.Unexpected("position_embedding_type",
                             "\"absolute\" (the key relative_position adds a clipped table)");
  }
  for (const char* key : {"is_decoder", "add_cross_attention", "is_encoder_decoder"}) {
    REPRISE_ASSIGN_OR_RETURN(const bool is_set, reader.Bool(key, false));
    if (is_set) return reader.Unexpected(key, "false: only encoders are supported");
  }
  return absl::OkStatus();
}

absl::Status ReadShape(const ConfigReader& reader, BertConfig& config) {
  REPRISE_ASSIGN_OR_RETURN(config.num_layers,
                           reader.RequiredInteger("num_hidden_layers", 1, kMaxLayers));
  REPRISE_ASSIGN_OR_RETURN(config.num_heads,
                           reader.RequiredInteger("num_attention_heads", 1, kMaxHeads));
  REPRISE_ASSIGN_OR_RETURN(config.hidden_size,
                           reader.RequiredInteger("hidden_size", 1, kMaxHiddenSize));
  REPRISE_ASSIGN_OR_RETURN(config.intermediate_size,
                           reader.RequiredInteger("intermediate_size", 1, kMaxIntermediateSize));
  REPRISE_ASSIGN_OR_RETURN(config.vocab_size,
                           reader.RequiredInteger("vocab_size", 1, kMaxVocabSize));
  REPRISE_ASSIGN_OR_RETURN(config.max_position_embeddings,
                           reader.RequiredInteger("max_position_embeddings", 1, kMaxPositions));
  REPRISE_ASSIGN_OR_RETURN(config.type_vocab_size,
                           reader.Integer("type_vocab_size", 1, kMaxTypes, 2));
  if (config.hidden_size % config.num_heads != 0) {
    return reader.Unexpected(
        "hidden_size", absl::StrCat("a multiple of num_attention_heads = ", config.num_heads));
  }
  config.max_text_tokens = config.max_position_embeddings;
  return absl::OkStatus();
}

absl::Status ReadNumerics(const ConfigReader& reader, BertConfig& config) {
  REPRISE_ASSIGN_OR_RETURN(const std::string name, reader.String("hidden_act", "gelu"));
  const ActivationName* found = nullptr;
  for (const ActivationName& known : kActivations) {
    if (name == known.name) found = &known;
  }
  if (found == nullptr) {
    return reader.Unexpected("hidden_act",
                             "\"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\" or \"relu\"");
  }
  config.activation = found->activation;
  REPRISE_ASSIGN_OR_RETURN(const double eps, reader.Number("layer_norm_eps", 1e-12));
  // Below the smallest normal float it may be flushed to 0, and a constant row would divide by 0.
  if (!(eps >= 1.2e-38 && eps <= 1.0)) {
    return reader.Unexpected("layer_norm_eps", "a number from 1.2e-38 to 1");
  }
  config.layer_norm_eps = static_cast<float>(eps);
  REPRISE_ASSIGN_OR_RETURN(config.norm_first, reader.Bool("norm_first", false));
  REPRISE_ASSIGN_OR_RETURN(config.final_layer_norm, reader.Bool("final_layer_norm", false));
  return absl::OkStatus();
}

absl::Status ReadRelativePosition(const Json& json, const ConfigReader& reader,
                                  BertConfig& config) {
  constexpr char kKey[] = "relative_position";
  if (!reader.Has(kKey)) return absl::OkStatus();
  if (!json[kKey].is_object())
    return reader.Unexpected(kKey, "an object with type and max_seq_length");
  const ConfigReader nested(json[kKey], absl::StrCat(kFile, ": ", kKey));
  REPRISE_ASSIGN_OR_RETURN(const std::string type, nested.String("type", ""));
  if (type != "clipped") return reader.Unexpected(kKey, "\"type\": \"clipped\"");
  REPRISE_ASSIGN_OR_RETURN(config.relative_position_max,
                           nested.RequiredInteger("max_seq_length", 1, kMaxRelativePosition));
  return absl::OkStatus();
}

// {"0": "negative", "1": "positive"}: every index from 0 once.
absl::Status ReadLabels(const Json& json, const ConfigReader& reader, BertConfig& config) {
  constexpr char kKey[] = "id2label";
  if (!reader.Has(kKey)) return absl::OkStatus();
  const Json& labels = json[kKey];
  if (!labels.is_object() || labels.size() > kMaxLabels) {
    return reader.Unexpected(kKey, absl::StrCat("an object with at most ", kMaxLabels, " labels"));
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = labels.find(std::to_string(i));
    if (label == labels.end() || !label->is_string()) {
      return reader.Unexpected(kKey, absl::StrCat("a string for each of \"0\" to \"",
                                                  labels.size() - 1, "\"; \"", i, "\" has none"));
    }
    config.labels.push_back(label->get<std::string>());
  }
  return absl::OkStatus();
}

absl::Status CheckParameterCount(const BertConfig& config) {
  const std::int64_t count = ParameterCount(BertParameters(config, {}));
  if (count <= kMaxParameters) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(kFile, " describes a model of ", count,
                                                 " parameters; expected at most ", kMaxParameters));
}

// The double that prints as briefly as the float does: 1e-12, not 9.999999960041972e-13.
double ShortestDouble(float value) {
  char text[32] = {};
  std::to_chars(text, text + sizeof(text) - 1, value);
  return std::strtod(text, nullptr);
}

const char* NameOf(Activation activation) {
  for (const ActivationName& known : kActivations) {
    if (known.activation == activation) return known.name;
  }
  return "";
}

}  // namespace

absl::StatusOr<BertConfig> ParseBertConfig(const Json& json) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kFile, " is ", weights::JsonText(json), "; expected an object"));
  }
  const ConfigReader reader(json, kFile);
  BertConfig config;
  REPRISE_RETURN_IF_ERROR(CheckArchitecture(reader));
  REPRISE_RETURN_IF_ERROR(ReadShape(reader, config));
  REPRISE_RETURN_IF_ERROR(ReadNumerics(reader, config));
  REPRISE_RETURN_IF_ERROR(ReadRelativePosition(json, reader, config));
  REPRISE_RETURN_IF_ERROR(ReadLabels(json, reader, config));
  const Json attention_reuse = json.value("attention_reuse", Json());
  REPRISE_ASSIGN_OR_RETURN(config.plan, reuse::ReusePlan::FromJson(
                                            attention_reuse, config.num_layers, config.num_heads));
  REPRISE_RETURN_IF_ERROR(CheckParameterCount(config));
  return config;
}

absl::StatusOr<BertConfig> ReadBertConfig(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kFile);
  REPRISE_ASSIGN_OR_RETURN(const Json json, weights::ReadJsonFile(path));
  absl::StatusOr<BertConfig> config = ParseBertConfig(json);
  if (!config.ok()) {
    return absl::Status(config.status().code(),
                        absl::StrCat("'", path, "': ", std::string(config.status().message())));
  }
  REPRISE_RETURN_IF_ERROR(ReadSentenceConfig(directory, *config));
  return config;
}

Json ToJson(const BertConfig& config) {
  Json json = {{"architectures", {"BertModel"}},
               {"model_type", "bert"},
               {"num_hidden_layers", config.num_layers},
               {"num_attention_heads", config.num_heads},
               {"hidden_size", config.hidden_size},
               {"intermediate_size", config.intermediate_size},
               {"vocab_size", config.vocab_size},
               {"max_position_embeddings", config.max_position_embeddings},
               {"type_vocab_size", config.type_vocab_size},
               {"layer_norm_eps", ShortestDouble(config.layer_norm_eps)},
               {"hidden_act", NameOf(config.activation)},
               {"position_embedding_type", "absolute"}};
  if (config.norm_first) json["norm_first"] = true;
  if (config.final_layer_norm) json["final_layer_norm"] = true;
  if (config.relative_position_max > 0) {
    json["relative_position"] = {{"type", "clipped"},
                                 {"max_seq_length", config.relative_position_max}};
  }
  for (std::size_t i = 0; i < config.labels.size(); ++i) {
    json["id2label"][std::to_string(i)] = config.labels[i];
  }
  const Json attention_reuse = config.plan.ToJson();
  if (!attention_reuse.is_null()) json["attention_reuse"] = attention_reuse;
  return json;
}

}  // namespace reprise::engine::architectures
