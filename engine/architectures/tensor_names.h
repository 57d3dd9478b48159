// What Hugging Face calls the tensors of a BERT, as functions of the layer.
#pragma once

#include <string>

// A stem names a sublayer; Weight and Bias of it name its tensors. Layers count from 0.
namespace reprise::engine::architectures::tensor_names {

inline constexpr char kWordEmbeddings[] = "embeddings.word_embeddings.weight";
inline constexpr char kPositionEmbeddings[] = "embeddings.position_embeddings.weight";
inline constexpr char kTokenTypeEmbeddings[] = "embeddings.token_type_embeddings.weight";
inline constexpr char kEmbeddingNorm[] = "embeddings.LayerNorm";  // stem
inline constexpr char kFinalNorm[] = "encoder.final_layer_norm";  // stem; ours
inline constexpr char kPooler[] = "pooler.dense";                 // stem
inline constexpr char kClassifier[] = "classifier";               // stem

inline std::string Weight(const std::string& stem) { return stem + ".weight"; }
inline std::string Bias(const std::string& stem) { return stem + ".bias"; }

inline std::string Layer(int layer, const char* part) {
  return "encoder.layer." + std::to_string(layer) + "." + part;
}
inline std::string Query(int layer) { return Layer(layer, "attention.self.query"); }
inline std::string Key(int layer) { return Layer(layer, "attention.self.key"); }
inline std::string Value(int layer) { return Layer(layer, "attention.self.value"); }
// A tensor, not a stem; ours, after the layer of arXiv 2110.06821's authors.
inline std::string RelativePositionBias(int layer) {
  return Layer(layer, "attention.self.relative_position_bias");
}
inline std::string AttentionOutput(int layer) { return Layer(layer, "attention.output.dense"); }
inline std::string AttentionNorm(int layer) { return Layer(layer, "attention.output.LayerNorm"); }
inline std::string Intermediate(int layer) { return Layer(layer, "intermediate.dense"); }
inline std::string Output(int layer) { return Layer(layer, "output.dense"); }
inline std::string OutputNorm(int layer) { return Layer(layer, "output.LayerNorm"); }

}  // namespace reprise::engine::architectures::tensor_names
