#include "engine/analysis/refit.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/analysis/loaded_model.h"
#include "tests/reference/ops.h"

namespace reprise::engine::analysis {
namespace {

using reference::BertModel;
using reference::Matrix;
using reference::Random;

constexpr int kHidden = 16, kHeads = 4;

// The residual stream in front of a layer: what a model of the layers before gives.
Matrix InputOf(const BertModel& model, int layer, const reference::Sequence& text) {
  BertModel before = model;
  before.config.num_layers = layer;
  before.weights.layers.resize(layer);
  before.config.pooling = reference::Pooling::kNone;
  auto& table = before.config.reuse.table;
  table.source.resize(layer);
  table.has_attention.resize(layer);
  return reference::Forward(before, text).last_hidden_state;
}

// The contexts of a layer's heads side by side.
Matrix ContextsOf(const BertModel& model, int layer, const Matrix& input,
                  const reference::Sequence& text) {
  const reference::BertLayerWeights& weights = model.weights.layers[layer];
  const Matrix normed =
      model.config.norm_first
          ? reference::LayerNorm(input, weights.attention_norm.gamma, weights.attention_norm.beta,
                                 model.config.layer_norm_eps)
          : input;
  const Matrix values = reference::Linear(normed, weights.value.weight, weights.value.bias);
  const auto probs = reference::Forward(model, text).attention_probs[layer];
  Matrix contexts = reference::Zeros(text.size(), kHidden);
  for (int head = 0; head < kHeads; ++head) {
    for (int q = 0; q < text.size(); ++q) {
      for (int k = 0; k < text.size(); ++k) {
        for (int i = head * 4; i < head * 4 + 4; ++i) {
          contexts[q][i] += probs[head][q][k] * values[k][i];
        }
      }
    }
  }
  return contexts;
}

// What a refit has to make small: sum over tokens of |Z W + b - (o + x - x')|^2 + r |W - W_O|^2
// with r = ridge times the mean square of centred columns of Z.
double Objective(const std::vector<Matrix>& contexts, const std::vector<Matrix>& targets,
                 const Matrix& weight, const std::vector<double>& bias, const Matrix& prior,
                 double ridge) {
  double sum = 0, rows = 0;
  std::vector<double> column_sums(kHidden), column_squares(kHidden);
  for (std::size_t text = 0; text < contexts.size(); ++text) {
    const Matrix found = reference::Linear(contexts[text], weight, bias);
    for (std::size_t row = 0; row < found.size(); ++row, ++rows) {
      for (int i = 0; i < kHidden; ++i) {
        sum += std::pow(found[row][i] - targets[text][row][i], 2);
        column_sums[i] += contexts[text][row][i];
        column_squares[i] += std::pow(contexts[text][row][i], 2);
      }
    }
  }
  double spread = 0;
  for (int i = 0; i < kHidden; ++i) {
    spread += (column_squares[i] - column_sums[i] * column_sums[i] / rows) / kHidden;
  }
  for (int out = 0; out < kHidden; ++out) {
    for (int in = 0; in < kHidden; ++in) {
      sum += ridge * spread * std::pow(weight[out][in] - prior[out][in], 2);
    }
  }
  return sum;
}

class RefitTest : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(NormFirst, RefitTest, ::testing::Bool());

TEST_P(RefitTest, NoOtherProjectionRepairsTheResidualStreamBetter) {
  Random random{11};
  const ConvertedPair pair = MakeConvertedPair(GetParam(), random);
  const auto loaded = Load(pair.original);
  const auto texts = RandomTexts(pair.original.config, 60, random);
  constexpr double kRidge = 0.1;
  int last_done = 0, last_total = 0;
  const auto fitted =
      RefitOutputs(loaded->config, loaded->weights, *loaded->checkpoint, pair.sources, texts,
                   {.threads = 2, .ridge = kRidge, .progress = [&](int done, int total) {
                      last_done = done;
                      last_total = total;
                    }});
  ASSERT_OK(fitted);
  EXPECT_EQ(last_done, 2 * 60);  // two layers
  EXPECT_EQ(last_total, 2 * 60);
  EXPECT_FALSE((*fitted)[0].has_value());  // nothing reuses there
  BertModel converted = pair.converted;    // takes each layer's new projection before the next
  for (int layer = 1; layer < 3; ++layer) {
    ASSERT_TRUE((*fitted)[layer].has_value());
    const reference::DenseWeights& stored = pair.original.weights.layers[layer].attention_output;
    std::vector<Matrix> contexts, targets;
    for (const auto& ids : texts) {
      const reference::Sequence text = SequenceOf(ids);
      const Matrix x = InputOf(pair.original, layer, text);
      const Matrix x_converted = InputOf(converted, layer, text);
      Matrix target =
          reference::Linear(ContextsOf(pair.original, layer, x, text), stored.weight, stored.bias);
      for (std::size_t row = 0; row < target.size(); ++row) {
        for (int i = 0; i < kHidden; ++i) target[row][i] += x[row][i] - x_converted[row][i];
      }
      targets.push_back(target);
      contexts.push_back(ContextsOf(converted, layer, x_converted, text));
    }
    reference::DenseWeights& projection = converted.weights.layers[layer].attention_output;
    for (int out = 0; out < kHidden; ++out) {
      for (int in = 0; in < kHidden; ++in) {
        projection.weight[out][in] = (*fitted)[layer]->weight[out * kHidden + in];
      }
      projection.bias[out] = (*fitted)[layer]->bias[out];
    }
    const auto objective = [&] {
      return Objective(contexts, targets, projection.weight, projection.bias, stored.weight,
                       kRidge);
    };
    const double least = objective();
    EXPECT_LT(least,
              Objective(contexts, targets, stored.weight, stored.bias, stored.weight, kRidge));
    // Convex: steps along axes in either direction make it worse. The step is above what fp32
    // activations can hide: the gradient is wrong by about 1e-6 of the sums.
    for (const double step : {0.01, -0.01}) {
      for (int out = 0; out < kHidden; out += 5) {
        for (double* number :
             {&projection.weight[out][(out * 7) % kHidden], &projection.bias[out]}) {
          *number += step;
          EXPECT_GT(objective(), least) << "layer " << layer << ", output " << out;
          *number -= step;
        }
      }
    }
  }
}

TEST(Refit, NothingIsFittedWhereNothingIsReused) {
  Random random{12};
  ConvertedPair pair = MakeConvertedPair(false, random);
  std::iota(pair.sources.source.begin(), pair.sources.source.end(), 0);
  const auto loaded = Load(pair.original);
  const auto fitted = RefitOutputs(loaded->config, loaded->weights, *loaded->checkpoint,
                                   pair.sources, RandomTexts(pair.original.config, 60, random), {});
  ASSERT_OK(fitted);
  for (const auto& layer : *fitted) EXPECT_FALSE(layer.has_value());
}

TEST(Refit, TooLittleTextIsRefusedWithWhatIsNeeded) {
  Random random{13};
  const ConvertedPair pair = MakeConvertedPair(false, random);
  const auto loaded = Load(pair.original);
  EXPECT_THAT(RefitOutputs(loaded->config, loaded->weights, *loaded->checkpoint, pair.sources,
                           {{1, 2, 3}}, {}),
              testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                ::testing::AllOf(::testing::HasSubstr("3 tokens"),
                                                 ::testing::HasSubstr("at least 64"))));
}

}  // namespace
}  // namespace reprise::engine::analysis
