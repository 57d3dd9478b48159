// A BERT-like encoder with attention reuse, one sequence at a time, in double precision and plain
// loops.
//
// Slow on purpose: every line can be checked against the equations. Tests compare the engine with
// it; it shares no code with the engine. Sources: Vaswani et al. 2017 (attention), Devlin et al.
// 2018 (BERT), arXiv 2110.06821 (reuse) and its authors' layer for the details: scores are scaled
// by 1/sqrt(head_dim), and what a reuse head takes over is the matrix after mask and softmax.

#pragma once

#include <string>
#include <vector>

#include "tests/reference/ops.h"
#include "tests/reference/source_map.h"

namespace reprise::reference {

enum class Activation { kGeluErf, kGeluTanh, kRelu };
enum class Pooling { kNone, kMean, kCls };

struct BertConfig {
  int num_layers = 2;
  int num_heads = 2;
  int hidden_size = 8;  // num_heads * head_dim
  int intermediate_size = 16;
  int vocab_size = 32;
  int max_position_embeddings = 64;
  int type_vocab_size = 2;
  double layer_norm_eps = 1e-12;
  Activation activation = Activation::kGeluErf;
  bool norm_first = false;        // pre-LN blocks
  bool final_layer_norm = false;  // one more LayerNorm after the last block
  int relative_position_max =
      0;  // M of the clipped relative position table [computed heads, 2M-1]; 0 = no table
  bool has_pooler = false;  // tanh dense on the first real token
  int num_labels = 0;       // > 0: a classifier on the pooler's output
  Pooling pooling = Pooling::kNone;
  bool normalize_embedding = false;  // sentence_embedding divided by its Euclidean length
  ReuseRecipe reuse;

  int head_dim() const { return hidden_size / num_heads; }
  SourceMap source_map() const { return MapOf(reuse, num_layers, num_heads); }
};

// y = x W^T + b: weight [out, in], bias [out].
struct DenseWeights {
  Matrix weight;
  std::vector<double> bias;
};

// y = (x - mean) / sqrt(variance + eps) * gamma + beta.
struct LayerNormWeights {
  std::vector<double> gamma;
  std::vector<double> beta;
};

// One block. In a layer without attention everything up to attention_norm is empty. query, key and
// relative_position_bias hold the row blocks of the computed heads only, by ascending head, and are
// empty when the layer computes none.
struct BertLayerWeights {
  DenseWeights query;             // [computed heads * head_dim, hidden_size]
  DenseWeights key;               // same
  Matrix relative_position_bias;  // [computed heads, 2M-1]
  DenseWeights value;             // [hidden_size, hidden_size], row block h belongs to head h
  DenseWeights attention_output;  // [hidden_size, hidden_size], column block h belongs to head h
  LayerNormWeights attention_norm;
  DenseWeights intermediate;  // [intermediate_size, hidden_size]
  DenseWeights output;        // [hidden_size, intermediate_size]
  LayerNormWeights output_norm;
};

struct BertWeights {
  Matrix word_embeddings;        // [vocab_size, hidden_size]
  Matrix position_embeddings;    // [max_position_embeddings, hidden_size]
  Matrix token_type_embeddings;  // [type_vocab_size, hidden_size]
  LayerNormWeights embedding_norm;
  std::vector<BertLayerWeights> layers;
  LayerNormWeights final_norm;  // when final_layer_norm
  DenseWeights pooler;          // when has_pooler
  DenseWeights classifier;      // when num_labels > 0
};

struct BertModel {
  BertConfig config;
  BertWeights weights;
};

// One text. The three vectors have one entry per token.
struct Sequence {
  std::vector<int> ids;
  std::vector<int> type_ids;
  std::vector<int> position_ids;
  int size() const { return static_cast<int>(ids.size()); }
};

// `ids` with type 0 everywhere and positions 0, 1, 2, ...
Sequence MakeSequence(std::vector<int> ids);

// The real tokens of a padded row, each keeping the position of its column. mask: 1 real, 0
// padding.
Sequence Pack(const Sequence& padded, const std::vector<int>& mask);

struct BertOutputs {
  Matrix last_hidden_state;                // [seq_len, hidden_size]; rows of padding are 0
  std::vector<double> pooler_output;       // [hidden_size] when has_pooler
  std::vector<double> sentence_embedding;  // [hidden_size] unless pooling is kNone
  std::vector<double> logits;              // [num_labels]
  // [layer][head] -> [seq_len, seq_len], the probabilities the head used, its own or reused. No
  // heads where no attention.
  std::vector<std::vector<Matrix>> attention_probs;
};

// All tokens are real and see each other.
BertOutputs Forward(const BertModel& model, const Sequence& sequence);

// A padded row as a batch of equal lengths would hold it: padding is computed too, but no key of
// padding is seen, and padding is left out of the outputs. mask has one 0/1 per column, at least
// one 1; the ones may stand anywhere. Pooling on one token takes the first real one, which is
// column 0 in right-padded rows.
BertOutputs ForwardMasked(const BertModel& model, const Sequence& padded,
                          const std::vector<int>& mask);

// As ForwardMasked, except that layer l masks keys by layer_masks[l]. Only for tests of what a
// reuse head must ignore.
BertOutputs ForwardWithLayerMasks(const BertModel& model, const Sequence& padded,
                                  const std::vector<int>& mask,
                                  const std::vector<std::vector<int>>& layer_masks);

// The model's shape on one line, for messages of failing tests.
std::string Describe(const BertConfig& config);

}  // namespace reprise::reference
