#include "tests/reference/random_model.h"

#include <algorithm>
#include <cmath>

namespace reprise::reference {
namespace {

constexpr double kPi = 3.14159265358979323846;

class WeightMaker {
 public:
  WeightMaker(NumberFormat format, Random& random) : format_(format), random_(random) {}

  std::vector<double> Vector(int size, double standard_deviation) {
    std::vector<double> values(size);
    for (double& value : values) value = Round(random_.Normal(standard_deviation), format_);
    return values;
  }

  Matrix Normal(int rows, int columns, double standard_deviation) {
    Matrix matrix;
    for (int row = 0; row < rows; ++row) matrix.push_back(Vector(columns, standard_deviation));
    return matrix;
  }

  // gain 1 keeps the size of what passes through.
  DenseWeights Dense(int out, int in, double gain) {
    DenseWeights dense;
    dense.weight = Normal(out, in, gain / std::sqrt(static_cast<double>(in)));
    dense.bias = Vector(out, 0.1);
    return dense;
  }

  LayerNormWeights Norm(int size) {
    LayerNormWeights norm;
    norm.gamma = Vector(size, 0.1);
    for (double& value : norm.gamma) value = Round(1 + value, format_);
    norm.beta = Vector(size, 0.1);
    return norm;
  }

 private:
  NumberFormat format_;
  Random& random_;
};

// Query, key and relative table of `num_computed` heads; nothing when there are none.
void MakeScoreWeights(const BertConfig& config, int num_computed, WeightMaker& make,
                      BertLayerWeights* layer) {
  if (num_computed == 0) return;
  // Queries and keys of size 1.2 give scores with a standard deviation of about 1.4.
  layer->query = make.Dense(num_computed * config.head_dim(), config.hidden_size, 1.2);
  layer->key = make.Dense(num_computed * config.head_dim(), config.hidden_size, 1.2);
  if (config.relative_position_max > 0) {
    layer->relative_position_bias =
        make.Normal(num_computed, 2 * config.relative_position_max - 1, 1.0);
  }
}

}  // namespace

int Random::Integer(int low, int high) {
  const auto span = static_cast<std::uint64_t>(high - low) + 1;
  return low + static_cast<int>(generator_() % span);  // the bias of % is below 2^-50 here
}

double Random::Normal(double standard_deviation) {
  // Box-Muller; the first uniform number is in (0, 1].
  const double radius = (static_cast<double>(generator_() >> 11) + 1) * 0x1p-53;
  const double angle = static_cast<double>(generator_() >> 11) * 0x1p-53;
  return standard_deviation * std::sqrt(-2 * std::log(radius)) * std::cos(2 * kPi * angle);
}

SourceMap RandomTable(int num_layers, int num_heads, Random& random) {
  SourceMap map = ExactMap(num_layers, num_heads);
  for (int layer = 1; layer < num_layers; ++layer) {
    map.has_attention[layer] = random.Integer(0, 5) > 0;
  }
  const int reuse_percent = random.OneOf<int>({10, 50, 90});
  for (int layer = 1; layer < num_layers; ++layer) {
    if (!map.has_attention[layer]) continue;
    for (int head = 0; head < num_heads; ++head) {
      if (random.Integer(1, 100) > reuse_percent) continue;
      int source_layer = random.Integer(0, layer - 1);
      while (!map.has_attention[source_layer]) --source_layer;  // layer 0 always has attention
      map.source[layer][head] = {source_layer, random.Integer(0, num_heads - 1)};
    }
  }
  return map;
}

ReuseRecipe RandomRecipe(ReuseRecipe::Kind kind, int num_layers, int num_heads, Random& random) {
  using Kind = ReuseRecipe::Kind;
  ReuseRecipe recipe;
  recipe.kind = kind;
  switch (kind) {
    case Kind::kExact:
      break;
    case Kind::kProposed:
      recipe.heads = random.Integer(0, num_heads);
      recipe.layers = random.Integer(0, num_layers - 1);
      break;
    case Kind::kAlternate:
      recipe.layers = random.Integer(0, num_layers / 2);
      break;
    case Kind::kAllEnd:
      recipe.layers = random.Integer(1, num_layers - 2);
      break;
    case Kind::kSkip:
      recipe.layers = random.Integer(0, num_layers - 1);
      break;
    case Kind::kTable:
      recipe.table = RandomTable(num_layers, num_heads, random);
      break;
  }
  return recipe;
}

BertConfig RandomConfig(Random& random) {
  using Kind = ReuseRecipe::Kind;
  // Algorithm 1 is what users run, and its chains are what goes wrong: it gets half of the draws.
  return RandomConfig(
      random.OneOf<Kind>({Kind::kExact, Kind::kAlternate, Kind::kAllEnd, Kind::kSkip, Kind::kTable,
                          Kind::kTable, Kind::kProposed, Kind::kProposed, Kind::kProposed,
                          Kind::kProposed, Kind::kProposed, Kind::kProposed}),
      random);
}

BertConfig RandomConfig(ReuseRecipe::Kind kind, Random& random) {
  BertConfig config;
  config.num_layers = random.Integer(kind == ReuseRecipe::Kind::kAllEnd ? 3 : 1, 6);
  config.num_heads = random.Integer(1, 16);
  std::vector<int> head_dims = {2, 4, 5, 8, 16, 24, 32, 64};
  std::erase_if(head_dims, [&](int head_dim) { return head_dim * config.num_heads > 256; });
  // One or two features would make a LayerNorm constant.
  std::erase_if(head_dims, [&](int head_dim) { return head_dim * config.num_heads < 8; });
  config.hidden_size = config.num_heads * random.OneOf(head_dims);
  config.intermediate_size = random.Integer(4, 4 * config.hidden_size);
  config.vocab_size = random.Integer(10, 200);
  config.max_position_embeddings = 64;
  config.type_vocab_size = random.Integer(1, 3);
  config.layer_norm_eps = random.OneOf<double>({1e-12, 1e-5});
  config.activation =
      random.OneOf<Activation>({Activation::kGeluErf, Activation::kGeluTanh, Activation::kRelu});
  config.norm_first = random.Integer(1, 3) == 1;
  config.final_layer_norm = config.norm_first && random.Coin();
  config.relative_position_max = random.OneOf<int>({0, 0, 1, 4, 32, 70});
  config.has_pooler = random.Coin();
  config.num_labels = config.has_pooler ? random.OneOf<int>({0, 1, 3}) : 0;
  config.pooling = random.OneOf<Pooling>({Pooling::kNone, Pooling::kMean, Pooling::kCls});
  config.normalize_embedding = config.pooling != Pooling::kNone && random.Coin();
  config.reuse = RandomRecipe(kind, config.num_layers, config.num_heads, random);
  return config;
}

BertModel RandomModel(const BertConfig& config, NumberFormat format, Random& random) {
  WeightMaker make(format, random);
  const int hidden_size = config.hidden_size;
  BertModel model;
  model.config = config;
  BertWeights& weights = model.weights;
  weights.word_embeddings = make.Normal(config.vocab_size, hidden_size, 0.5);
  weights.position_embeddings = make.Normal(config.max_position_embeddings, hidden_size, 0.3);
  weights.token_type_embeddings = make.Normal(config.type_vocab_size, hidden_size, 0.3);
  weights.embedding_norm = make.Norm(hidden_size);

  const SourceMap map = config.source_map();
  for (int index = 0; index < config.num_layers; ++index) {
    BertLayerWeights layer;
    if (map.has_attention[index]) {
      const auto num_computed = static_cast<int>(ComputedHeads(map, index).size());
      MakeScoreWeights(config, num_computed, make, &layer);
      layer.value = make.Dense(hidden_size, hidden_size, 1.0);
      layer.attention_output = make.Dense(hidden_size, hidden_size, 1.0);
      layer.attention_norm = make.Norm(hidden_size);
    }
    layer.intermediate = make.Dense(config.intermediate_size, hidden_size, 1.0);
    layer.output = make.Dense(hidden_size, config.intermediate_size, 1.0);
    layer.output_norm = make.Norm(hidden_size);
    weights.layers.push_back(layer);
  }

  if (config.final_layer_norm) weights.final_norm = make.Norm(hidden_size);
  if (config.has_pooler) weights.pooler = make.Dense(hidden_size, hidden_size, 1.0);
  if (config.num_labels > 0) weights.classifier = make.Dense(config.num_labels, hidden_size, 1.0);
  return model;
}

Sequence RandomSequence(const BertConfig& config, int length, Random& random) {
  std::vector<int> ids;
  for (int token = 0; token < length; ++token)
    ids.push_back(random.Integer(0, config.vocab_size - 1));
  Sequence sequence = MakeSequence(ids);
  for (int& type : sequence.type_ids) type = random.Integer(0, config.type_vocab_size - 1);
  return sequence;
}

std::vector<int> RandomMask(int length, Random& random) {
  std::vector<int> mask(length);
  for (int& column : mask) column = random.Integer(0, 1);
  mask[random.Integer(0, length - 1)] = 1;
  return mask;
}

BertModel WithAllHeadsComputed(const BertModel& model, NumberFormat format, Random& random) {
  WeightMaker make(format, random);
  BertModel exact = model;
  exact.config.reuse = ReuseRecipe{};
  for (BertLayerWeights& layer : exact.weights.layers) {
    if (layer.value.weight.empty()) {
      layer.value = make.Dense(model.config.hidden_size, model.config.hidden_size, 1.0);
      layer.attention_output = make.Dense(model.config.hidden_size, model.config.hidden_size, 1.0);
      layer.attention_norm = make.Norm(model.config.hidden_size);
    }
    MakeScoreWeights(model.config, model.config.num_heads, make, &layer);
  }
  return exact;
}

}  // namespace reprise::reference
