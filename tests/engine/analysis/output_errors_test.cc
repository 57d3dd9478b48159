#include "engine/analysis/output_errors.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/architectures/tensor_names.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/aligned_floats.h"
#include "tests/reference/random_model.h"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

constexpr int kLayers = 3, kHeads = 2, kHeadDim = 5, kHidden = kHeads * kHeadDim;

// Biases of values and output projections, drawn at random.
class Source : public weights::WeightSource {
 public:
  explicit Source(reference::Random& random) {
    namespace names = architectures::tensor_names;
    for (int layer = 0; layer < kLayers; ++layer) {
      Draw(names::Bias(names::Value(layer)), kHidden, random);
      Draw(names::Weight(names::AttentionOutput(layer)), kHidden * kHidden, random);
    }
  }
  const std::vector<float>& at(const std::string& name) const { return tensors_.at(name); }
  bool Contains(const std::string& name) const override { return tensors_.contains(name); }
  absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string&) const override {
    return absl::UnimplementedError("not asked for");
  }
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::span<const std::int64_t>) const override {
    return at(name);
  }

 private:
  void Draw(const std::string& name, int size, reference::Random& random) {
    for (int i = 0; i < size; ++i) tensors_[name].push_back(static_cast<float>(random.Normal(1)));
  }
  std::map<std::string, std::vector<float>> tensors_;
};

// Scores whose rows sum up to 1, and values.
struct Text {
  Text(int seq_len, reference::Random& random)
      : seq_len(seq_len),
        stride((seq_len + 15) / 16 * 16),
        probs(kLayers * kHeads * seq_len * stride),
        values(kLayers * kHeads * seq_len * kHeadDim) {
    for (int row = 0; row < kLayers * kHeads * seq_len; ++row) {
      float sum = 0;
      for (int key = 0; key < seq_len; ++key) {
        probs.data()[row * stride + key] = static_cast<float>(std::exp(random.Normal(1)));
        sum += probs.data()[row * stride + key];
      }
      for (int key = 0; key < seq_len; ++key) probs.data()[row * stride + key] /= sum;
    }
    for (float& value : values) value = static_cast<float>(random.Normal(1));
  }
  CapturedScores scores() const { return {seq_len, stride, probs.data(), values.data(), squares}; }

  // What the head gives to the layer's output with the scores of `source`, scaled.
  std::vector<double> Output(const Source& weights, int head, int source, double scale) const {
    namespace names = architectures::tensor_names;
    const int layer = head / kHeads;
    const auto& bias = weights.at(names::Bias(names::Value(layer)));
    const auto& projection = weights.at(names::Weight(names::AttentionOutput(layer)));
    std::vector<double> output(seq_len * kHidden);
    for (int query = 0; query < seq_len; ++query) {
      for (int i = 0; i < kHeadDim; ++i) {
        const int column = head % kHeads * kHeadDim + i;
        double context = 0;
        for (int key = 0; key < seq_len; ++key) {
          context += double{scores().row(source, query)[key]} *
                     (double{values[(head * seq_len + key) * kHeadDim + i]} - bias[column]);
        }
        for (int out = 0; out < kHidden; ++out) {
          output[query * kHidden + out] += scale * context * projection[out * kHidden + column];
        }
      }
    }
    return output;
  }

  int seq_len;
  std::int64_t stride;
  testing::AlignedFloats probs;
  std::vector<float> values;
  std::vector<double> squares = {10.0 * seq_len, 20.0 * seq_len, 30.0 * seq_len};
};

double SquaredDistance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

class OutputErrorsTest : public ::testing::Test {
 protected:
  OutputErrorsTest() {
    config_.num_layers = kLayers;
    config_.num_heads = kHeads;
    config_.hidden_size = kHidden;
    for (const int seq_len : {1, 6, 19}) texts_.emplace_back(seq_len, random_);
    outputs_ = *ReadHeadOutputs(config_, source_);
  }
  // Left over of all texts with this scale, by what the norm divides by.
  double Error(int target, int source, double scale) const {
    double error = 0, squares = 0;
    for (const Text& text : texts_) {
      error += SquaredDistance(text.Output(source_, target, target, 1),
                               text.Output(source_, target, source, scale));
      squares += text.squares[target / kHeads];
    }
    return error / squares;
  }

  reference::Random random_{9};
  Source source_{random_};
  architectures::BertConfig config_;
  std::vector<Text> texts_;
  HeadOutputs outputs_;
};

TEST_F(OutputErrorsTest, TheScaleIsTheBestOneAndTheErrorWhatItLeaves) {
  OutputErrors errors(config_, outputs_);
  for (const Text& text : texts_) errors.Add(text.scores());
  for (int target = kHeads; target < kLayers * kHeads; ++target) {
    for (int source = 0; source < target / kHeads * kHeads; ++source) {
      SCOPED_TRACE(std::to_string(target) + " with the scores of " + std::to_string(source));
      const double scale = errors.scale(target, source);
      const double error = Error(target, source, scale);
      EXPECT_NEAR(errors.error(target, source), error, 1e-4 * (1 + error));
      // Nothing near it is better.
      EXPECT_GT(Error(target, source, scale + 0.02), error);
      EXPECT_GT(Error(target, source, scale - 0.02), error);
    }
  }
}

TEST_F(OutputErrorsTest, PartsMergeToTheWhole) {
  OutputErrors all(config_, outputs_), first(config_, outputs_), second(config_, outputs_);
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    all.Add(texts_[i].scores());
    (i == 1 ? second : first).Add(texts_[i].scores());
  }
  first.Merge(second);
  EXPECT_NEAR(first.scale(4, 1), all.scale(4, 1), 1e-12);
  EXPECT_NEAR(first.error(4, 1), all.error(4, 1), 1e-12);
}

}  // namespace
}  // namespace reprise::engine::analysis
