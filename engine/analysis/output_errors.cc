#include "engine/analysis/output_errors.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/analysis/weighted_rows.h"
#include "engine/architectures/tensor_names.h"
#include "engine/check.h"
#include "engine/memory/buffer.h"

namespace reprise::engine::analysis {
namespace {

namespace names = architectures::tensor_names;

// sum_q sum_ij a[q, i] gram[i, j] b[q, j] for b already multiplied by gram.
double Product(const float* a, const float* b, std::int64_t size) {
  // Parts of fp32 sums that are short enough to lose nothing that matters.
  constexpr std::int64_t kPart = 512;
  double sum = 0;
  for (std::int64_t first = 0; first < size; first += kPart) {
    std::array<float, 8> lanes{};
    const std::int64_t end = std::min(size, first + kPart);
    std::int64_t i = first;
    for (; i + 8 <= end; i += 8) {
      for (int lane = 0; lane < 8; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
    }
    for (; i < end; ++i) lanes[0] += a[i] * b[i];
    for (const float lane : lanes) sum += lane;
  }
  return sum;
}

}  // namespace

absl::StatusOr<HeadOutputs> ReadHeadOutputs(const architectures::BertConfig& config,
                                            const weights::WeightSource& source) {
  const std::int64_t hidden = config.hidden_size, head_dim = config.head_dim();
  HeadOutputs outputs;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    const std::int64_t vector_shape[] = {hidden}, matrix_shape[] = {hidden, hidden};
    REPRISE_ASSIGN_OR_RETURN(const std::vector<float> bias,
                             source.Read(names::Bias(names::Value(layer)), vector_shape));
    outputs.value_bias.insert(outputs.value_bias.end(), bias.begin(), bias.end());
    REPRISE_ASSIGN_OR_RETURN(
        const std::vector<float> output,
        source.Read(names::Weight(names::AttentionOutput(layer)), matrix_shape));
    for (int head = 0; head < config.num_heads; ++head) {
      for (std::int64_t i = 0; i < head_dim; ++i) {
        for (std::int64_t j = 0; j < head_dim; ++j) {
          double sum = 0;
          for (std::int64_t row = 0; row < hidden; ++row) {
            const float* weights = output.data() + row * hidden + head * head_dim;
            sum += double{weights[i]} * weights[j];
          }
          outputs.gram.push_back(static_cast<float>(sum));
        }
      }
    }
  }
  return outputs;
}

OutputErrors::OutputErrors(const architectures::BertConfig& config, const HeadOutputs& outputs)
    : layers_(config.num_layers),
      heads_(config.num_heads),
      head_dim_(config.head_dim()),
      outputs_(outputs),
      own_(static_cast<std::size_t>(layers_) * heads_),
      products_(own_.size() * own_.size()),
      squares_(own_.size() * own_.size()),
      residual_(layers_) {}

void OutputErrors::Add(const CapturedScores& scores) {
  const std::int64_t size = scores.seq_len * head_dim_;
  std::vector<float> values(size), own(size), other(size), lengthened(size);
  for (int target = 0; target < layers_ * heads_; ++target) {
    const float* from = scores.values + target * size;
    const float* bias = outputs_.value_bias.data() + std::int64_t{target} * head_dim_;
    for (std::int64_t i = 0; i < size; ++i) values[i] = from[i] - bias[i % head_dim_];
    const float* gram = outputs_.gram.data() + std::int64_t{target} * head_dim_ * head_dim_;
    // The contexts of `source`'s scores, and those times gram.
    const auto contexts = [&](int source, std::vector<float>& to) {
      MultiplyRows(scores.row(source, 0), scores.row_stride, values.data(), head_dim_,
                   {scores.seq_len, scores.seq_len}, to.data());
      MultiplyRows(to.data(), head_dim_, gram, head_dim_, {scores.seq_len, head_dim_},
                   lengthened.data());
    };
    contexts(target, own);
    own_[target] += Product(own.data(), lengthened.data(), size);
    for (int source = 0; source < target / heads_ * heads_; ++source) {
      contexts(source, other);
      products_[Index(target, source)] += Product(own.data(), lengthened.data(), size);
      squares_[Index(target, source)] += Product(other.data(), lengthened.data(), size);
    }
  }
  for (int layer = 0; layer < layers_; ++layer) residual_[layer] += scores.residual_squares[layer];
}

void OutputErrors::Merge(const OutputErrors& other) {
  const auto add = [](const std::vector<double>& from, std::vector<double>* to) {
    REPRISE_CHECK(from.size() == to->size());
    for (std::size_t i = 0; i < from.size(); ++i) (*to)[i] += from[i];
  };
  add(other.own_, &own_);
  add(other.products_, &products_);
  add(other.squares_, &squares_);
  add(other.residual_, &residual_);
}

double OutputErrors::scale(int target, int source) const {
  const double squares = squares_[Index(target, source)];
  return squares > 0 ? products_[Index(target, source)] / squares : 0;
}

double OutputErrors::error(int target, int source) const {
  const double left = own_[target] - scale(target, source) * products_[Index(target, source)];
  const double residual = residual_[target / heads_];
  return std::max(left, 0.0) / (residual > 0 ? residual : 1);
}

double OutputErrors::unscaled_error(int target, int source) const {
  const std::size_t index = Index(target, source);
  const double left = own_[target] - 2 * products_[index] + squares_[index];
  const double residual = residual_[target / heads_];
  return std::max(left, 0.0) / (residual > 0 ? residual : 1);
}

}  // namespace reprise::engine::analysis
