#include "tests/reference/bert.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <utility>

namespace reprise::reference {
namespace {

Matrix Dense(const Matrix& x, const DenseWeights& dense) {
  return Linear(x, dense.weight, dense.bias);
}

Matrix Normalize(const Matrix& x, const LayerNormWeights& norm, double eps) {
  return LayerNorm(x, norm.gamma, norm.beta, eps);
}

Matrix Add(const Matrix& a, const Matrix& b) {
  Matrix sum = a;
  for (size_t row = 0; row < a.size(); ++row) {
    for (size_t column = 0; column < a[row].size(); ++column) sum[row][column] += b[row][column];
  }
  return sum;
}

double Activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return GeluErf(x);
    case Activation::kGeluTanh:
      return GeluTanh(x);
    case Activation::kRelu:
      return std::max(x, 0.0);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Matrix Embed(const BertModel& model, const Sequence& sequence) {
  const BertWeights& weights = model.weights;
  Matrix sum = Zeros(sequence.size(), model.config.hidden_size);
  for (int token = 0; token < sequence.size(); ++token) {
    for (int column = 0; column < model.config.hidden_size; ++column) {
      sum[token][column] = weights.word_embeddings[sequence.ids[token]][column] +
                           weights.position_embeddings[sequence.position_ids[token]][column] +
                           weights.token_type_embeddings[sequence.type_ids[token]][column];
    }
  }
  return Normalize(sum, weights.embedding_norm, model.config.layer_norm_eps);
}

// The columns of head `place`, head_dim of them.
Matrix HeadColumns(const Matrix& x, int place, int head_dim) {
  Matrix columns;
  for (const std::vector<double>& row : x) {
    columns.emplace_back(row.begin() + place * head_dim, row.begin() + (place + 1) * head_dim);
  }
  return columns;
}

// What is added to the scaled scores of query i and key j: table[clip(j - i + M - 1)] when there is
// a relative position table of 2M-1 entries, and -infinity where key j is masked.
Matrix ScoreBias(const std::vector<double>& table, const std::vector<int>& positions,
                 const std::vector<int>& mask) {
  const int num_tokens = static_cast<int>(mask.size());
  const int max = (static_cast<int>(table.size()) + 1) / 2;
  Matrix bias = Zeros(num_tokens, num_tokens);
  for (int i = 0; i < num_tokens; ++i) {
    for (int j = 0; j < num_tokens; ++j) {
      if (!table.empty()) {
        bias[i][j] = table[std::clamp(positions[j] - positions[i] + max - 1, 0, 2 * max - 2)];
      }
      if (mask[j] == 0) bias[i][j] = -std::numeric_limits<double>::infinity();
    }
  }
  return bias;
}

// The probabilities each head of `layer` uses: computed from x, or those of `earlier[layer][head]`.
std::vector<Matrix> LayerProbs(const BertModel& model, int layer, const Matrix& x,
                               const Sequence& sequence, const std::vector<int>& mask,
                               const std::vector<std::vector<Matrix>>& earlier) {
  const BertConfig& config = model.config;
  const BertLayerWeights& weights = model.weights.layers[layer];
  const SourceMap map = config.source_map();
  const std::vector<int> computed = ComputedHeads(map, layer);

  std::vector<Matrix> probs(config.num_heads);
  if (!computed.empty()) {
    const Matrix query = Dense(x, weights.query);
    const Matrix key = Dense(x, weights.key);
    const double scale = 1 / std::sqrt(static_cast<double>(config.head_dim()));
    for (int place = 0; place < static_cast<int>(computed.size()); ++place) {
      std::vector<double> table;
      if (config.relative_position_max > 0) table = weights.relative_position_bias[place];
      probs[computed[place]] = AttentionProbs(HeadColumns(query, place, config.head_dim()),
                                              HeadColumns(key, place, config.head_dim()), scale,
                                              ScoreBias(table, sequence.position_ids, mask));
    }
  }
  for (int head = 0; head < config.num_heads; ++head) {
    const HeadRef source = Resolve(map, {layer, head});
    if (source.layer != layer) probs[head] = earlier[source.layer][source.head];
  }
  return probs;
}

// context_h = probs_h value_h for every head, side by side, then the output projection.
Matrix AttentionOutput(const BertConfig& config, const BertLayerWeights& layer, const Matrix& x,
                       const std::vector<Matrix>& probs) {
  const Matrix value = Dense(x, layer.value);
  Matrix contexts(x.size());
  for (int head = 0; head < config.num_heads; ++head) {
    const Matrix context = Context(probs[head], HeadColumns(value, head, config.head_dim()));
    for (size_t row = 0; row < x.size(); ++row) {
      contexts[row].insert(contexts[row].end(), context[row].begin(), context[row].end());
    }
  }
  return Dense(contexts, layer.attention_output);
}

Matrix FeedForward(const BertConfig& config, const BertLayerWeights& layer, const Matrix& x) {
  Matrix intermediate = Dense(x, layer.intermediate);
  for (std::vector<double>& row : intermediate) {
    for (double& value : row) value = Activate(value, config.activation);
  }
  return Dense(intermediate, layer.output);
}

// One block. Post-LN: y = LN(x + attention(x)), z = LN(y + ffn(y)). Pre-LN: y = x +
// attention(LN(x)), z = y + ffn(LN(y)). Without attention, y = x: neither the sublayer nor its
// LayerNorm exists.
Matrix Block(const BertModel& model, int layer, const Matrix& x, const Sequence& sequence,
             const std::vector<int>& mask, std::vector<std::vector<Matrix>>* attention_probs) {
  const BertConfig& config = model.config;
  const BertLayerWeights& weights = model.weights.layers[layer];
  const double eps = config.layer_norm_eps;

  Matrix y = x;
  std::vector<Matrix> probs;
  if (config.source_map().has_attention[layer]) {
    const Matrix input = config.norm_first ? Normalize(x, weights.attention_norm, eps) : x;
    probs = LayerProbs(model, layer, input, sequence, mask, *attention_probs);
    y = Add(x, AttentionOutput(config, weights, input, probs));
    if (!config.norm_first) y = Normalize(y, weights.attention_norm, eps);
  }
  attention_probs->push_back(std::move(probs));

  const Matrix input = config.norm_first ? Normalize(y, weights.output_norm, eps) : y;
  const Matrix z = Add(y, FeedForward(config, weights, input));
  return config.norm_first ? z : Normalize(z, weights.output_norm, eps);
}

std::vector<double> SentenceEmbedding(const BertConfig& config, const Matrix& hidden,
                                      const std::vector<int>& mask, int first_real) {
  std::vector<double> embedding = hidden[first_real];
  if (config.pooling == Pooling::kMean) {
    const auto num_real = static_cast<double>(std::count(mask.begin(), mask.end(), 1));
    for (int col = 0; col < config.hidden_size; ++col) {
      embedding[col] = 0;
      for (size_t row = 0; row < hidden.size(); ++row) {
        embedding[col] += mask[row] * hidden[row][col] / num_real;
      }
    }
  }
  if (config.normalize_embedding) {
    double squares = 0;
    for (double value : embedding) squares += value * value;
    // 1e-12 as in the published Normalize module: a zero vector stays zero.
    for (double& value : embedding) value /= std::max(std::sqrt(squares), 1e-12);
  }
  return embedding;
}

}  // namespace

Sequence MakeSequence(std::vector<int> ids) {
  Sequence sequence;
  sequence.ids = std::move(ids);
  sequence.type_ids.assign(sequence.ids.size(), 0);
  for (int token = 0; token < sequence.size(); ++token) sequence.position_ids.push_back(token);
  return sequence;
}

Sequence Pack(const Sequence& padded, const std::vector<int>& mask) {
  Sequence packed;
  for (int column = 0; column < padded.size(); ++column) {
    if (mask[column] == 0) continue;
    packed.ids.push_back(padded.ids[column]);
    packed.type_ids.push_back(padded.type_ids[column]);
    packed.position_ids.push_back(padded.position_ids[column]);
  }
  return packed;
}

BertOutputs Forward(const BertModel& model, const Sequence& sequence) {
  return ForwardMasked(model, sequence, std::vector<int>(sequence.size(), 1));
}

BertOutputs ForwardMasked(const BertModel& model, const Sequence& padded,
                          const std::vector<int>& mask) {
  const std::vector<std::vector<int>> same(model.config.num_layers, mask);
  return ForwardWithLayerMasks(model, padded, mask, same);
}

BertOutputs ForwardWithLayerMasks(const BertModel& model, const Sequence& padded,
                                  const std::vector<int>& mask,
                                  const std::vector<std::vector<int>>& layer_masks) {
  const BertConfig& config = model.config;
  BertOutputs outputs;
  Matrix x = Embed(model, padded);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    x = Block(model, layer, x, padded, layer_masks[layer], &outputs.attention_probs);
  }
  if (config.final_layer_norm) {
    x = Normalize(x, model.weights.final_norm, config.layer_norm_eps);
  }

  const int first_real = static_cast<int>(std::find(mask.begin(), mask.end(), 1) - mask.begin());
  if (config.has_pooler) {
    outputs.pooler_output = Dense({x[first_real]}, model.weights.pooler)[0];
    for (double& value : outputs.pooler_output) value = std::tanh(value);
  }
  if (config.num_labels > 0) {
    outputs.logits = Dense({outputs.pooler_output}, model.weights.classifier)[0];
  }
  if (config.pooling != Pooling::kNone)
    outputs.sentence_embedding = SentenceEmbedding(config, x, mask, first_real);

  for (size_t row = 0; row < x.size(); ++row) {
    for (double& value : x[row]) value *= mask[row];
  }
  outputs.last_hidden_state = std::move(x);
  return outputs;
}

std::string Describe(const BertConfig& config) {
  const char* const activations[] = {"gelu_erf", "gelu_tanh", "relu"};
  const char* const poolings[] = {"none", "mean", "cls"};
  std::ostringstream text;
  text << "num_layers=" << config.num_layers << " num_heads=" << config.num_heads
       << " hidden_size=" << config.hidden_size << " intermediate_size=" << config.intermediate_size
       << " activation=" << activations[static_cast<int>(config.activation)]
       << " norm_first=" << config.norm_first << " final_layer_norm=" << config.final_layer_norm
       << " relative_position_max=" << config.relative_position_max
       << " pooler=" << config.has_pooler << " num_labels=" << config.num_labels
       << " pooling=" << poolings[static_cast<int>(config.pooling)]
       << " normalize=" << config.normalize_embedding << " reuse: " << Describe(config.reuse);
  return text.str();
}

}  // namespace reprise::reference
