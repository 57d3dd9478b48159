#include "tests/reference/checkpoint_reader.h"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

#include "nlohmann/json.hpp"
#include "tests/reference/number_format.h"

namespace reprise::reference {
namespace {

using Json = nlohmann::json;

std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Json ReadJson(const std::filesystem::path& path) { return Json::parse(ReadBytes(path)); }

std::uint64_t LittleEndian(const std::string& bytes, std::size_t offset, int num_bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < num_bytes; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes.at(offset + i)))
             << (8 * i);
  }
  return value;
}

NumberFormat FormatOf(const std::string& dtype) {
  for (NumberFormat format : {NumberFormat::kF32, NumberFormat::kF16, NumberFormat::kBF16}) {
    if (dtype == NameOf(format)) return format;
  }
  throw std::runtime_error("dtype " + dtype + " is not a floating-point format of the reference");
}

class TensorFile {
 public:
  explicit TensorFile(const std::filesystem::path& path) : bytes_(ReadBytes(path)) {
    data_start_ = 8 + LittleEndian(bytes_, 0, 8);
    header_ = Json::parse(bytes_.substr(8, data_start_ - 8));
  }

  bool Has(const std::string& name) const { return header_.contains(name); }

  Matrix Table(const std::string& name) const {
    const std::vector<int> shape = header_.at(name).at("shape");
    const std::vector<double> values = Values(name);
    Matrix table;
    for (int row = 0; row < shape.at(0); ++row) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(row) * shape.at(1);
      table.emplace_back(first, first + shape.at(1));
    }
    return table;
  }
  // Empty when the file has no such tensors: reuse layers lack some.
  DenseWeights Dense(const std::string& name) const {
    if (!Has(name + ".weight")) return {};
    return {Table(name + ".weight"), Values(name + ".bias")};
  }
  LayerNormWeights Norm(const std::string& name) const {
    if (!Has(name + ".weight")) return {};
    return {Values(name + ".weight"), Values(name + ".bias")};
  }

 private:
  std::vector<double> Values(const std::string& name) const {
    const Json& entry = header_.at(name);
    const NumberFormat format = FormatOf(entry.at("dtype"));
    const std::size_t begin = entry.at("data_offsets").at(0);
    const std::size_t end = entry.at("data_offsets").at(1);
    std::vector<double> values;
    for (std::size_t offset = begin; offset < end; offset += BytesOf(format)) {
      const auto bits = LittleEndian(bytes_, data_start_ + offset, BytesOf(format));
      values.push_back(Decode(static_cast<std::uint32_t>(bits), format));
    }
    return values;
  }

  std::string bytes_;
  std::size_t data_start_ = 0;
  Json header_;
};

ReuseRecipe ReadRecipe(const Json& json) {
  using Kind = ReuseRecipe::Kind;
  ReuseRecipe recipe;
  if (json.contains("source")) {
    recipe.kind = Kind::kTable;
    for (const Json& row : json.at("source")) {
      std::vector<HeadRef> layer;
      for (const Json& head : row) layer.push_back({head.at(0), head.at(1)});
      recipe.table.source.push_back(layer);
    }
    const std::vector<bool> everywhere(recipe.table.source.size(), true);
    recipe.table.has_attention = json.value("has_attention", everywhere);
    return recipe;
  }
  recipe.layers = json.at("layers");
  if (json.contains("heads")) {
    recipe.kind = Kind::kProposed;
    recipe.heads = json.at("heads");
    return recipe;
  }
  const std::map<std::string, Kind> variants = {
      {"alternate", Kind::kAlternate}, {"all_end", Kind::kAllEnd}, {"skip", Kind::kSkip}};
  recipe.kind = variants.at(json.at("variant"));
  return recipe;
}

BertConfig ReadConfig(const std::filesystem::path& directory) {
  const Json json = ReadJson(directory / "config.json");
  const std::map<std::string, Activation> activations = {{"gelu", Activation::kGeluErf},
                                                         {"gelu_new", Activation::kGeluTanh},
                                                         {"relu", Activation::kRelu}};
  BertConfig config;
  config.num_layers = json.at("num_hidden_layers");
  config.num_heads = json.at("num_attention_heads");
  config.hidden_size = json.at("hidden_size");
  config.intermediate_size = json.at("intermediate_size");
  config.vocab_size = json.at("vocab_size");
  config.max_position_embeddings = json.at("max_position_embeddings");
  config.type_vocab_size = json.at("type_vocab_size");
  config.layer_norm_eps = json.at("layer_norm_eps");
  config.activation = activations.at(json.at("hidden_act"));
  config.norm_first = json.value("norm_first", false);
  config.final_layer_norm = json.value("final_layer_norm", false);
  if (json.contains("relative_position")) {
    config.relative_position_max = json.at("relative_position").at("max_seq_length");
  }
  if (json.contains("attention_reuse")) config.reuse = ReadRecipe(json.at("attention_reuse"));
  if (json.contains("id2label")) config.num_labels = static_cast<int>(json.at("id2label").size());

  if (std::filesystem::exists(directory / "modules.json")) {
    const Json pooling = ReadJson(directory / "1_Pooling" / "config.json");
    config.pooling = pooling.at("pooling_mode_cls_token") ? Pooling::kCls : Pooling::kMean;
    for (const Json& module : ReadJson(directory / "modules.json")) {
      if (module.at("type") == "sentence_transformers.models.Normalize") {
        config.normalize_embedding = true;
      }
    }
  }
  return config;
}

BertLayerWeights ReadLayer(const TensorFile& file, const std::string& prefix) {
  BertLayerWeights layer;
  layer.query = file.Dense(prefix + "attention.self.query");
  layer.key = file.Dense(prefix + "attention.self.key");
  layer.value = file.Dense(prefix + "attention.self.value");
  const std::string relative = prefix + "attention.self.relative_position_bias";
  if (file.Has(relative)) layer.relative_position_bias = file.Table(relative);
  layer.attention_output = file.Dense(prefix + "attention.output.dense");
  layer.attention_norm = file.Norm(prefix + "attention.output.LayerNorm");
  layer.intermediate = file.Dense(prefix + "intermediate.dense");
  layer.output = file.Dense(prefix + "output.dense");
  layer.output_norm = file.Norm(prefix + "output.LayerNorm");
  return layer;
}

}  // namespace

BertModel ReadCheckpoint(const std::filesystem::path& directory) {
  const TensorFile file(directory / "model.safetensors");
  BertModel model;
  model.config = ReadConfig(directory);
  const std::string bert = file.Has("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  BertWeights& weights = model.weights;
  weights.word_embeddings = file.Table(bert + "embeddings.word_embeddings.weight");
  weights.position_embeddings = file.Table(bert + "embeddings.position_embeddings.weight");
  weights.token_type_embeddings = file.Table(bert + "embeddings.token_type_embeddings.weight");
  weights.embedding_norm = file.Norm(bert + "embeddings.LayerNorm");
  for (int index = 0; index < model.config.num_layers; ++index) {
    weights.layers.push_back(
        ReadLayer(file, bert + "encoder.layer." + std::to_string(index) + "."));
  }
  if (model.config.final_layer_norm) {
    weights.final_norm = file.Norm(bert + "encoder.final_layer_norm");
  }
  model.config.has_pooler = file.Has(bert + "pooler.dense.weight");
  if (model.config.has_pooler) weights.pooler = file.Dense(bert + "pooler.dense");
  if (model.config.num_labels > 0) weights.classifier = file.Dense("classifier");
  return model;
}

}  // namespace reprise::reference
