#include "tests/reference/checkpoint_writer.h"

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include "nlohmann/json.hpp"

namespace reprise::reference {
namespace {

using Json = nlohmann::json;

struct FileTensor {
  std::string name;
  std::string dtype;
  std::vector<int> shape;
  std::string bytes;
};

std::string LittleEndian(std::uint64_t value, int num_bytes) {
  std::string bytes;
  for (int i = 0; i < num_bytes; ++i) bytes.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  return bytes;
}

std::string EncodeAll(const std::vector<double>& values, NumberFormat format) {
  std::string bytes;
  for (double value : values) bytes += LittleEndian(Encode(value, format), BytesOf(format));
  return bytes;
}

// safetensors: the header's length in 8 bytes, a JSON header, then the tensors one after another.
void WriteSafetensors(const std::filesystem::path& path, const std::vector<FileTensor>& tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::size_t offset = 0;
  for (const FileTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  while (text.size() % 8 != 0) text.push_back(' ');  // the format asks for aligned data

  std::ofstream file(path, std::ios::binary);
  file << LittleEndian(text.size(), 8) << text;
  for (const FileTensor& tensor : tensors) file << tensor.bytes;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string ShardName(int shard, int num_shards) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", shard + 1, num_shards);
  return name;
}

void WriteShards(const std::filesystem::path& directory, const std::vector<FileTensor>& tensors,
                 int num_shards) {
  std::vector<std::vector<FileTensor>> shards(num_shards);
  Json weight_map = Json::object();
  std::size_t total_bytes = 0;
  // Dealt out like cards, so that tensors of one layer come from several files.
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const int shard = static_cast<int>(i % num_shards);
    shards[shard].push_back(tensors[i]);
    weight_map[tensors[i].name] = ShardName(shard, num_shards);
    total_bytes += tensors[i].bytes.size();
  }
  for (int shard = 0; shard < num_shards; ++shard) {
    WriteSafetensors(directory / ShardName(shard, num_shards), shards[shard]);
  }
  const Json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
  WriteText(directory / "model.safetensors.index.json", index.dump(2));
}

void WritePoolingModules(const std::filesystem::path& directory, const BertConfig& config) {
  const std::string prefix = "sentence_transformers.models.";
  Json modules = Json::array();
  modules.push_back({{"idx", 0}, {"name", "0"}, {"path", ""}, {"type", prefix + "Transformer"}});
  modules.push_back(
      {{"idx", 1}, {"name", "1"}, {"path", "1_Pooling"}, {"type", prefix + "Pooling"}});
  if (config.normalize_embedding) {
    modules.push_back(
        {{"idx", 2}, {"name", "2"}, {"path", "2_Normalize"}, {"type", prefix + "Normalize"}});
  }
  WriteText(directory / "modules.json", modules.dump(2));
  const Json pooling = {{"word_embedding_dimension", config.hidden_size},
                        {"pooling_mode_cls_token", config.pooling == Pooling::kCls},
                        {"pooling_mode_mean_tokens", config.pooling == Pooling::kMean},
                        {"pooling_mode_max_tokens", false},
                        {"pooling_mode_mean_sqrt_len_tokens", false}};
  std::filesystem::create_directories(directory / "1_Pooling");
  WriteText(directory / "1_Pooling" / "config.json", pooling.dump(2));
}

// Calls visit for the tensors of one kind of layer, leaving out the empty ones.
class TensorNamer {
 public:
  explicit TensorNamer(const TensorVisitor& visit) : visit_(visit) {}

  void Table(const std::string& name, const Matrix& table) {
    if (table.empty()) return;
    visit_(name, {static_cast<int>(table.size()), static_cast<int>(table[0].size())}, Flat(table));
  }
  void Dense(const std::string& name, const DenseWeights& dense) {
    Table(name + ".weight", dense.weight);
    Vector(name + ".bias", dense.bias);
  }
  void Norm(const std::string& name, const LayerNormWeights& norm) {
    Vector(name + ".weight", norm.gamma);
    Vector(name + ".bias", norm.beta);
  }

 private:
  void Vector(const std::string& name, const std::vector<double>& values) {
    if (!values.empty()) visit_(name, {static_cast<int>(values.size())}, values);
  }
  const TensorVisitor& visit_;
};

const char* NameOf(Activation activation) {
  switch (activation) {
    case Activation::kGeluTanh:
      return "gelu_new";
    case Activation::kRelu:
      return "relu";
    case Activation::kGeluErf:
      break;
  }
  return "gelu";
}

}  // namespace

void VisitTensors(const BertModel& model, const TensorVisitor& visit) {
  TensorNamer name(visit);
  const BertWeights& weights = model.weights;
  name.Table("embeddings.word_embeddings.weight", weights.word_embeddings);
  name.Table("embeddings.position_embeddings.weight", weights.position_embeddings);
  name.Table("embeddings.token_type_embeddings.weight", weights.token_type_embeddings);
  name.Norm("embeddings.LayerNorm", weights.embedding_norm);
  for (std::size_t index = 0; index < weights.layers.size(); ++index) {
    const BertLayerWeights& layer = weights.layers[index];
    const std::string prefix = "encoder.layer." + std::to_string(index) + ".";
    name.Dense(prefix + "attention.self.query", layer.query);
    name.Dense(prefix + "attention.self.key", layer.key);
    name.Dense(prefix + "attention.self.value", layer.value);
    name.Table(prefix + "attention.self.relative_position_bias", layer.relative_position_bias);
    name.Dense(prefix + "attention.output.dense", layer.attention_output);
    name.Norm(prefix + "attention.output.LayerNorm", layer.attention_norm);
    name.Dense(prefix + "intermediate.dense", layer.intermediate);
    name.Dense(prefix + "output.dense", layer.output);
    name.Norm(prefix + "output.LayerNorm", layer.output_norm);
  }
  name.Norm("encoder.final_layer_norm", weights.final_norm);
  name.Dense("pooler.dense", weights.pooler);
  name.Dense("classifier", weights.classifier);
}

Json ReuseJson(const ReuseRecipe& recipe) {
  using Kind = ReuseRecipe::Kind;
  switch (recipe.kind) {
    case Kind::kExact:
      return nullptr;
    case Kind::kProposed:
      return {{"heads", recipe.heads}, {"layers", recipe.layers}};
    case Kind::kAlternate:
      return {{"variant", "alternate"}, {"layers", recipe.layers}};
    case Kind::kAllEnd:
      return {{"variant", "all_end"}, {"layers", recipe.layers}};
    case Kind::kSkip:
      return {{"variant", "skip"}, {"layers", recipe.layers}};
    case Kind::kTable:
      break;
  }
  Json source = Json::array();
  for (const std::vector<HeadRef>& layer : recipe.table.source) {
    Json row = Json::array();
    for (const HeadRef& head : layer) row.push_back(Json::array({head.layer, head.head}));
    source.push_back(row);
  }
  return {{"source", source}, {"has_attention", recipe.table.has_attention}};
}

Json ConfigJson(const BertModel& model) {
  const BertConfig& config = model.config;
  Json json = {
      {"model_type", "bert"},
      {"architectures", {config.num_labels > 0 ? "BertForSequenceClassification" : "BertModel"}},
      {"num_hidden_layers", config.num_layers},
      {"num_attention_heads", config.num_heads},
      {"hidden_size", config.hidden_size},
      {"intermediate_size", config.intermediate_size},
      {"vocab_size", config.vocab_size},
      {"max_position_embeddings", config.max_position_embeddings},
      {"type_vocab_size", config.type_vocab_size},
      {"layer_norm_eps", config.layer_norm_eps},
      {"hidden_act", NameOf(config.activation)},
      {"position_embedding_type", "absolute"}};
  if (config.norm_first) json["norm_first"] = true;
  if (config.final_layer_norm) json["final_layer_norm"] = true;
  if (config.relative_position_max > 0) {
    json["relative_position"] = {{"type", "clipped"},
                                 {"max_seq_length", config.relative_position_max}};
  }
  for (int label = 0; label < config.num_labels; ++label) {
    const std::string name = "LABEL_" + std::to_string(label);
    json["id2label"][std::to_string(label)] = name;
    json["label2id"][name] = label;
  }
  const Json reuse = ReuseJson(config.reuse);
  if (!reuse.is_null()) json["attention_reuse"] = reuse;
  return json;
}

void WriteCheckpoint(const std::filesystem::path& directory, const BertModel& model,
                     const CheckpointOptions& options) {
  std::filesystem::create_directories(directory);
  std::vector<FileTensor> tensors;
  if (options.position_ids_buffer) {
    FileTensor buffer{
        "embeddings.position_ids", "I64", {1, model.config.max_position_embeddings}, ""};
    for (int i = 0; i < model.config.max_position_embeddings; ++i)
      buffer.bytes += LittleEndian(i, 8);
    tensors.push_back(buffer);
  }
  VisitTensors(model, [&](const std::string& name, const std::vector<int>& shape,
                          const std::vector<double>& values) {
    tensors.push_back({name, NameOf(options.format), shape, EncodeAll(values, options.format)});
  });
  if (options.bert_prefix) {
    // The classifier stands beside the encoder in such files, not inside it.
    for (FileTensor& tensor : tensors) {
      if (!tensor.name.starts_with("classifier.")) tensor.name = "bert." + tensor.name;
    }
  }
  if (options.num_shards > 1) {
    WriteShards(directory, tensors, options.num_shards);
  } else {
    WriteSafetensors(directory / "model.safetensors", tensors);
  }
  WriteText(directory / "config.json", ConfigJson(model).dump(2));
  if (model.config.pooling != Pooling::kNone) WritePoolingModules(directory, model.config);
}

}  // namespace reprise::reference
