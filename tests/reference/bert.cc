#include "tests/reference/bert.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <utility>

namespace reprise::reference {
namespace {

constexpr double kPi = 3.14159265358979323846;

Matrix Dense(const Matrix& x, const DenseWeights& dense) {
  Matrix y(x.rows, dense.weight.rows);
  for (int row = 0; row < x.rows; ++row) {
    for (int out = 0; out < dense.weight.rows; ++out) {
      double sum = dense.bias[out];
      for (int in = 0; in < x.cols; ++in) sum += x(row, in) * dense.weight(out, in);
      y(row, out) = sum;
    }
  }
  return y;
}

Matrix LayerNorm(const Matrix& x, const LayerNormWeights& norm, double eps) {
  Matrix y(x.rows, x.cols);
  for (int row = 0; row < x.rows; ++row) {
    double mean = 0;
    for (int col = 0; col < x.cols; ++col) mean += x(row, col) / x.cols;
    double variance = 0;
    for (int col = 0; col < x.cols; ++col) variance += std::pow(x(row, col) - mean, 2) / x.cols;
    for (int col = 0; col < x.cols; ++col) {
      y(row, col) =
          (x(row, col) - mean) / std::sqrt(variance + eps) * norm.gamma[col] + norm.beta[col];
    }
  }
  return y;
}

Matrix Add(const Matrix& a, const Matrix& b) {
  Matrix sum = a;
  for (size_t i = 0; i < sum.data.size(); ++i) sum.data[i] += b.data[i];
  return sum;
}

double Activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / kPi) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return std::max(x, 0.0);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Matrix Embed(const BertModel& model, const Sequence& sequence) {
  const BertWeights& weights = model.weights;
  Matrix sum(sequence.size(), model.config.hidden_size);
  for (int token = 0; token < sequence.size(); ++token) {
    for (int col = 0; col < sum.cols; ++col) {
      sum(token, col) = weights.word_embeddings(sequence.ids[token], col) +
                        weights.position_embeddings(sequence.position_ids[token], col) +
                        weights.token_type_embeddings(sequence.type_ids[token], col);
    }
  }
  return LayerNorm(sum, weights.embedding_norm, model.config.layer_norm_eps);
}

// attention_scores[i, j] = query_i . key_j / sqrt(head_dim) + bias, -inf where column j is masked,
// for the head whose blocks stand at place `rank` of query, key and the relative position table.
Matrix AttentionScores(const BertConfig& config, const BertLayerWeights& layer, const Matrix& query,
                       const Matrix& key, int rank, const std::vector<int>& positions,
                       const std::vector<int>& mask) {
  const int first = rank * config.head_dim();
  Matrix scores(query.rows, key.rows);
  for (int i = 0; i < query.rows; ++i) {
    for (int j = 0; j < key.rows; ++j) {
      double dot = 0;
      for (int c = first; c < first + config.head_dim(); ++c) dot += query(i, c) * key(j, c);
      scores(i, j) = dot / std::sqrt(static_cast<double>(config.head_dim()));
      if (config.relative_position_max > 0) {
        const int max = config.relative_position_max;
        const int distance = std::clamp(positions[j] - positions[i] + max - 1, 0, 2 * max - 2);
        scores(i, j) += layer.relative_position_bias(rank, distance);
      }
      if (mask[j] == 0) scores(i, j) = -std::numeric_limits<double>::infinity();
    }
  }
  return scores;
}

// Softmax over the last axis: one distribution over keys per query.
Matrix Softmax(const Matrix& scores) {
  Matrix probs(scores.rows, scores.cols);
  for (int i = 0; i < scores.rows; ++i) {
    double max = -std::numeric_limits<double>::infinity();
    for (int j = 0; j < scores.cols; ++j) max = std::max(max, scores(i, j));
    double sum = 0;
    for (int j = 0; j < scores.cols; ++j) sum += std::exp(scores(i, j) - max);
    for (int j = 0; j < scores.cols; ++j) probs(i, j) = std::exp(scores(i, j) - max) / sum;
  }
  return probs;
}

// The probabilities each head of `layer` uses: computed from x, or copied from
// `earlier[layer][head]`.
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
    for (size_t rank = 0; rank < computed.size(); ++rank) {
      probs[computed[rank]] = Softmax(AttentionScores(
          config, weights, query, key, static_cast<int>(rank), sequence.position_ids, mask));
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
  Matrix context(x.rows, config.hidden_size);
  for (int head = 0; head < config.num_heads; ++head) {
    for (int i = 0; i < x.rows; ++i) {
      for (int c = head * config.head_dim(); c < (head + 1) * config.head_dim(); ++c) {
        for (int j = 0; j < x.rows; ++j) context(i, c) += probs[head](i, j) * value(j, c);
      }
    }
  }
  return Dense(context, layer.attention_output);
}

Matrix FeedForward(const BertConfig& config, const BertLayerWeights& layer, const Matrix& x) {
  Matrix intermediate = Dense(x, layer.intermediate);
  for (double& value : intermediate.data) value = Activate(value, config.activation);
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
    const Matrix input = config.norm_first ? LayerNorm(x, weights.attention_norm, eps) : x;
    probs = LayerProbs(model, layer, input, sequence, mask, *attention_probs);
    y = Add(x, AttentionOutput(config, weights, input, probs));
    if (!config.norm_first) y = LayerNorm(y, weights.attention_norm, eps);
  }
  attention_probs->push_back(std::move(probs));

  const Matrix input = config.norm_first ? LayerNorm(y, weights.output_norm, eps) : y;
  const Matrix z = Add(y, FeedForward(config, weights, input));
  return config.norm_first ? z : LayerNorm(z, weights.output_norm, eps);
}

Matrix Row(const Matrix& x, int row) {
  Matrix one(1, x.cols);
  for (int col = 0; col < x.cols; ++col) one(0, col) = x(row, col);
  return one;
}

std::vector<double> SentenceEmbedding(const BertConfig& config, const Matrix& hidden,
                                      const std::vector<int>& mask, int first_real) {
  std::vector<double> embedding = Row(hidden, first_real).data;
  if (config.pooling == Pooling::kMean) {
    const auto num_real = static_cast<double>(std::count(mask.begin(), mask.end(), 1));
    for (int col = 0; col < hidden.cols; ++col) {
      embedding[col] = 0;
      for (int row = 0; row < hidden.rows; ++row)
        embedding[col] += mask[row] * hidden(row, col) / num_real;
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
  if (config.final_layer_norm) x = LayerNorm(x, model.weights.final_norm, config.layer_norm_eps);

  const int first_real = static_cast<int>(std::find(mask.begin(), mask.end(), 1) - mask.begin());
  if (config.has_pooler) {
    outputs.pooler_output = Dense(Row(x, first_real), model.weights.pooler).data;
    for (double& value : outputs.pooler_output) value = std::tanh(value);
  }
  if (config.num_labels > 0) {
    Matrix pooled(1, config.hidden_size);
    pooled.data = outputs.pooler_output;
    outputs.logits = Dense(pooled, model.weights.classifier).data;
  }
  if (config.pooling != Pooling::kNone)
    outputs.sentence_embedding = SentenceEmbedding(config, x, mask, first_real);

  for (int row = 0; row < x.rows; ++row) {
    for (int col = 0; col < x.cols; ++col) x(row, col) *= mask[row];
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
