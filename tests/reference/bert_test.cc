// The reference against numbers worked out by hand, and the invariances that reuse must have.
#include "tests/reference/bert.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/random_model.h"
#include "tests/reference/tolerance.h"

namespace reprise::reference {
namespace {

DenseWeights Identity2() { return {{{1, 0}, {0, 1}}, {0, 0}}; }
LayerNormWeights Plain2() { return {{1, 1}, {0, 0}}; }

// One layer, one head, two features, every projection the identity, no feed-forward contribution.
// With two features LayerNorm maps (a, b), a > b, to (1, -1): all numbers can be followed by hand.
BertModel TinyModel() {
  BertModel model;
  model.config.num_layers = 1;
  model.config.num_heads = 1;
  model.config.hidden_size = 2;
  model.config.intermediate_size = 1;
  model.config.vocab_size = 2;
  model.config.max_position_embeddings = 4;
  model.config.type_vocab_size = 1;
  model.config.norm_first = true;
  BertWeights& weights = model.weights;
  weights.word_embeddings = {{3, 1}, {0, 5}};  // ids 0 and 1 become (1,-1), (-1,1)
  weights.position_embeddings = Zeros(4, 2);
  weights.token_type_embeddings = Zeros(1, 2);
  weights.embedding_norm = Plain2();
  BertLayerWeights layer;
  layer.query = layer.key = layer.value = layer.attention_output = Identity2();
  layer.attention_norm = layer.output_norm = Plain2();
  layer.intermediate = {Zeros(1, 2), {0}};
  layer.output = {Zeros(2, 1), {0, 0}};
  weights.layers = {layer};
  return model;
}

TEST(BertReferenceTest, AgreesWithAttentionWorkedOutByHand) {
  const BertOutputs outputs = Forward(TinyModel(), MakeSequence({0, 1}));
  // Scores are +-2 / sqrt(2), so a token gives itself e^s / (e^s + e^-s) with s = sqrt(2).
  const double own =
      std::exp(std::sqrt(2.0)) / (std::exp(std::sqrt(2.0)) + std::exp(-std::sqrt(2.0)));
  EXPECT_THAT(Flat(outputs.attention_probs[0][0]),
              AllClose(std::vector<double>{own, 1 - own, 1 - own, own}, kDouble));
  // Residual plus context: (1,-1) + own (1,-1) + (1-own) (-1,1) = 2 own (1,-1).
  EXPECT_THAT(Flat(outputs.last_hidden_state),
              AllClose(std::vector<double>{2 * own, -2 * own, -2 * own, 2 * own}, kDouble));
}

TEST(BertReferenceTest, PostNormNormalisesWhatPreNormLeaves) {
  BertModel model = TinyModel();
  model.config.norm_first = false;
  EXPECT_THAT(Flat(Forward(model, MakeSequence({0, 1})).last_hidden_state),
              AllClose(std::vector<double>{1, -1, -1, 1}, kDouble));
  model.config.norm_first = true;
  model.config.final_layer_norm = true;
  model.weights.final_norm = Plain2();
  EXPECT_THAT(Flat(Forward(model, MakeSequence({0, 1})).last_hidden_state),
              AllClose(std::vector<double>{1, -1, -1, 1}, kDouble));
}

TEST(BertReferenceTest, ActivationsHaveTheirKnownValues) {
  struct Case {
    Activation activation;
    double at_minus_one, at_one;
  };
  // GELU(1) = Phi(1) = 0.841344746; the tanh form is 0.841191991.
  const Case cases[] = {{Activation::kGeluErf, -0.15865525393, 0.84134474607},
                        {Activation::kGeluTanh, -0.15880800939, 0.84119199061},
                        {Activation::kRelu, 0, 1}};
  for (const Case& one : cases) {
    BertModel model = TinyModel();
    model.config.activation = one.activation;
    BertLayerWeights& layer = model.weights.layers[0];
    layer.attention_output.weight = Zeros(2, 2);
    layer.intermediate.weight = {{1, 0}};  // the first feature, 1 or -1
    layer.output.weight = {{1}, {0}};      // added to the first feature
    const Matrix hidden = Forward(model, MakeSequence({0, 1})).last_hidden_state;
    EXPECT_NEAR(hidden[0][0] - 1, one.at_one, 1e-10);
    EXPECT_NEAR(hidden[1][0] + 1, one.at_minus_one, 1e-10);
  }
}

TEST(BertReferenceTest, RelativePositionsAreClippedAtTheEndsOfTheTable) {
  BertModel model = TinyModel();
  model.config.relative_position_max = 2;
  // Distances <= -1, 0, >= 1; with query 0 the scores are the table's entries alone.
  model.weights.layers[0].query.weight = Zeros(2, 2);
  model.weights.layers[0].relative_position_bias = {{std::log(1), std::log(2), std::log(3)}};
  const Matrix probs = Forward(model, MakeSequence({0, 1, 0})).attention_probs[0][0];
  EXPECT_THAT(Flat(probs), AllClose(std::vector<double>{2. / 8, 3. / 8, 3. / 8,  //
                                                        1. / 6, 2. / 6, 3. / 6,  //
                                                        1. / 4, 1. / 4, 2. / 4},
                                    kDouble));
}

TEST(BertReferenceTest, PoolingTakesTheMeanOrTheFirstRealToken) {
  BertModel model = TinyModel();
  model.weights.layers[0].attention_output.weight = Zeros(2, 2);  // hidden = embeddings, +-1
  model.config.pooling = Pooling::kMean;
  const std::vector<int> mask = {0, 1, 1, 1};
  const Sequence padded = MakeSequence({0, 1, 0, 1});
  EXPECT_THAT(ForwardMasked(model, padded, mask).sentence_embedding,
              AllClose(std::vector<double>{-1. / 3, 1. / 3}, kDouble));
  model.config.pooling = Pooling::kCls;
  EXPECT_THAT(ForwardMasked(model, padded, mask).sentence_embedding,
              AllClose(std::vector<double>{-1, 1}, kDouble));
  model.config.normalize_embedding = true;
  EXPECT_THAT(ForwardMasked(model, padded, mask).sentence_embedding,
              AllClose(std::vector<double>{-std::sqrt(0.5), std::sqrt(0.5)}, kDouble));
}

TEST(BertReferenceTest, LogitsComeFromThePoolersOutput) {
  BertModel model = TinyModel();
  model.weights.layers[0].attention_output.weight = Zeros(2, 2);
  model.config.has_pooler = true;
  model.weights.pooler = {{{1, 0}, {0, 2}}, {0.5, 0}};
  model.config.num_labels = 1;
  model.weights.classifier = {{{10, 1}}, {3}};
  const BertOutputs outputs = Forward(model, MakeSequence({0, 1}));
  EXPECT_THAT(outputs.pooler_output,
              AllClose(std::vector<double>{std::tanh(1.5), std::tanh(-2)}, kDouble));
  EXPECT_THAT(outputs.logits,
              AllClose(std::vector<double>{3 + 10 * std::tanh(1.5) + std::tanh(-2)}, kDouble));
}

// Random models of every kind, each with its seed.
class RandomBertReferenceTest : public ::testing::TestWithParam<int> {
 protected:
  Random random_{static_cast<std::uint64_t>(GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Seeds, RandomBertReferenceTest, ::testing::Range(1, 31));

TEST_P(RandomBertReferenceTest, PackingAPaddedRowChangesNothing) {
  const BertModel model = RandomModel(RandomConfig(random_), NumberFormat::kF32, random_);
  SCOPED_TRACE(Describe(model.config));
  const int length = random_.Integer(1, 20);
  const Sequence padded = RandomSequence(model.config, length, random_);
  const std::vector<int> mask = RandomMask(length, random_);
  const BertOutputs masked = ForwardMasked(model, padded, mask);
  const BertOutputs packed = Forward(model, Pack(padded, mask));

  std::vector<double> real_rows;
  for (int row = 0; row < length; ++row) {
    for (int col = 0; col < model.config.hidden_size; ++col) {
      if (mask[row] == 1) {
        real_rows.push_back(masked.last_hidden_state[row][col]);
      } else {
        EXPECT_EQ(masked.last_hidden_state[row][col], 0);
      }
    }
  }
  EXPECT_THAT(Flat(packed.last_hidden_state), AllClose(real_rows, kDouble));
  EXPECT_THAT(packed.pooler_output, AllClose(masked.pooler_output, kDouble));
  EXPECT_THAT(packed.sentence_embedding, AllClose(masked.sentence_embedding, kDouble));
  EXPECT_THAT(packed.logits, AllClose(masked.logits, kDouble));
}

TEST_P(RandomBertReferenceTest, EachRowOfProbabilitiesIsADistribution) {
  const BertModel model = RandomModel(RandomConfig(random_), NumberFormat::kF32, random_);
  SCOPED_TRACE(Describe(model.config));
  const BertOutputs outputs = Forward(model, RandomSequence(model.config, 12, random_));
  for (const std::vector<Matrix>& layer : outputs.attention_probs) {
    for (const Matrix& probs : layer) {
      for (const std::vector<double>& row : probs) {
        double sum = 0;
        for (const double prob : row) {
          EXPECT_GE(prob, 0);
          sum += prob;
        }
        EXPECT_NEAR(sum, 1, 1e-12);
      }
    }
  }
}

TEST_P(RandomBertReferenceTest, AReuseHeadUsesTheMatrixOfItsResolvedSource) {
  BertConfig config = RandomConfig(random_);
  config.num_layers = 5;
  config.reuse.kind = ReuseRecipe::Kind::kTable;
  config.reuse.table = RandomTable(config.num_layers, config.num_heads, random_);
  const SourceMap map = config.source_map();
  const BertModel model = RandomModel(config, NumberFormat::kF32, random_);
  const BertOutputs outputs = Forward(model, RandomSequence(config, 9, random_));
  for (int layer = 0; layer < config.num_layers; ++layer) {
    if (!map.has_attention[layer]) continue;
    for (int head = 0; head < config.num_heads; ++head) {
      const HeadRef source = Resolve(map, {layer, head});
      EXPECT_EQ(outputs.attention_probs[layer][head],
                outputs.attention_probs[source.layer][source.head]);
    }
  }
}

TEST_P(RandomBertReferenceTest, NoReusedHeadsEqualsTheExactModel) {
  BertConfig config = RandomConfig(random_);
  config.reuse = ReuseRecipe{};
  BertModel model = RandomModel(config, NumberFormat::kF32, random_);
  const Sequence sequence = RandomSequence(config, 11, random_);
  const BertOutputs exact = Forward(model, sequence);
  model.config.reuse = {ReuseRecipe::Kind::kProposed, 0, config.num_layers - 1, {}};
  EXPECT_EQ(Flat(Forward(model, sequence).last_hidden_state), Flat(exact.last_hidden_state));
}

TEST_P(RandomBertReferenceTest, ReuseIsVisibleInTheOutput) {
  BertConfig config = RandomConfig(random_);
  config.num_layers = 3;
  config.reuse = {ReuseRecipe::Kind::kProposed, config.num_heads, 1, {}};
  const BertModel model = RandomModel(config, NumberFormat::kF32, random_);
  const Sequence sequence = RandomSequence(config, 16, random_);
  const BertModel exact = WithAllHeadsComputed(model, NumberFormat::kF32, random_);
  const std::vector<double> reused_state = Flat(Forward(model, sequence).last_hidden_state);
  const std::vector<double> exact_state = Flat(Forward(exact, sequence).last_hidden_state);
  // Far above any tolerance of the table: an engine that ignored the plan could not pass.
  EXPECT_THAT(reused_state, ::testing::Not(AllClose(exact_state, Tolerance{0.2, 0})));
}

TEST_P(RandomBertReferenceTest, AFullReuseLayerIgnoresItsOwnMask) {
  BertConfig config = RandomConfig(random_);
  config.num_layers = 4;
  config.reuse = {ReuseRecipe::Kind::kProposed, config.num_heads, 2, {}};
  const BertModel model = RandomModel(config, NumberFormat::kF32, random_);
  const int length = 10;
  const Sequence padded = RandomSequence(config, length, random_);
  const std::vector<int> all(length, 1);
  std::vector<std::vector<int>> layer_masks(config.num_layers, all);
  const BertOutputs same = ForwardWithLayerMasks(model, padded, all, layer_masks);

  layer_masks[1] = layer_masks[2] = std::vector<int>{0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_EQ(Flat(ForwardWithLayerMasks(model, padded, all, layer_masks).last_hidden_state),
            Flat(same.last_hidden_state));
  layer_masks[3] = layer_masks[1];
  EXPECT_NE(Flat(ForwardWithLayerMasks(model, padded, all, layer_masks).last_hidden_state),
            Flat(same.last_hidden_state));
}

TEST_P(RandomBertReferenceTest, TheMaskOfAFullReuseLayerIsThatOfItsSource) {
  BertConfig config = RandomConfig(random_);
  config.num_layers = 2;
  config.reuse = {ReuseRecipe::Kind::kProposed, config.num_heads, 1, {}};
  const BertModel model = RandomModel(config, NumberFormat::kF32, random_);
  const Sequence padded = RandomSequence(config, 6, random_);
  const std::vector<int> mask = {1, 0, 1, 1, 0, 1};
  const BertOutputs outputs = ForwardMasked(model, padded, mask);
  for (const Matrix& probs : outputs.attention_probs[1]) {
    for (const std::vector<double>& row : probs) {
      EXPECT_EQ(row[1], 0);
      EXPECT_EQ(row[4], 0);
    }
  }
}

TEST(BertReferenceTest, ASkippedLayerIsItsFeedForwardAlone) {
  BertModel model = TinyModel();
  model.config.num_layers = 2;
  model.config.reuse = {ReuseRecipe::Kind::kSkip, 0, 1, {}};
  BertLayerWeights skipped;
  skipped.intermediate = {{{1, 0}}, {0}};
  skipped.output = {{{0}, {1}}, {0, 0}};
  skipped.output_norm = Plain2();
  model.config.activation = Activation::kRelu;
  const Matrix before = Forward(TinyModel(), MakeSequence({0, 1})).last_hidden_state;
  model.weights.layers.push_back(skipped);
  const BertOutputs outputs = Forward(model, MakeSequence({0, 1}));
  // LN(y) is (1,-1) and (-1,1): ReLU of the first feature is added to the second.
  EXPECT_THAT(
      Flat(outputs.last_hidden_state),
      AllClose(std::vector<double>{before[0][0], before[0][1] + 1, before[1][0], before[1][1]},
               kDouble));
  EXPECT_TRUE(outputs.attention_probs[1].empty());
}

TEST(BertReferenceTest, ScoresOfRandomModelsAreNeitherUniformNorOneHot) {
  Random random(7);
  double sum_of_largest = 0;
  int num_rows = 0;
  for (int model_index = 0; model_index < 20; ++model_index) {
    const BertModel model = RandomModel(RandomConfig(random), NumberFormat::kF32, random);
    const BertOutputs outputs = Forward(model, RandomSequence(model.config, 16, random));
    for (const std::vector<Matrix>& layer : outputs.attention_probs) {
      for (const Matrix& probs : layer) {
        for (const std::vector<double>& row : probs) {
          ++num_rows;
          double largest = 0;
          for (const double prob : row) largest = std::max(largest, prob);
          sum_of_largest += largest;
        }
      }
    }
  }
  EXPECT_GT(sum_of_largest / num_rows, 2.0 / 16);
  EXPECT_LT(sum_of_largest / num_rows, 0.8);
}

TEST(AllCloseTest, RefusesNanOnEitherSide) {
  const std::vector<double> nan = {std::nan("")};
  const std::vector<double> one = {1.0};
  EXPECT_THAT(nan, ::testing::Not(AllClose(one, kFloat32)));
  EXPECT_THAT(one, ::testing::Not(AllClose(nan, kFloat32)));
  EXPECT_THAT(one, AllClose(std::vector<double>{1.0 + 1e-6}, kFloat32));
  EXPECT_THAT(one, ::testing::Not(AllClose(std::vector<double>{1.0 + 1e-4}, kFloat32)));
  EXPECT_THAT(one, ::testing::Not(AllClose(std::vector<double>{1.0, 1.0}, kFloat32)));
}

}  // namespace
}  // namespace reprise::reference
