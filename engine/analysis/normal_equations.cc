#include "engine/analysis/normal_equations.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/analysis/weighted_rows.h"
#include "engine/check.h"

namespace reprise::engine::analysis {
namespace {

// Few enough for fp32 sums, many enough that adding them up in double costs little.
constexpr std::int64_t kBufferRows = 256;

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Strided = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

}  // namespace

NormalEquations::NormalEquations(std::int64_t inputs, std::int64_t outputs)
    : inputs_(inputs),
      outputs_(outputs),
      products_(inputs * (inputs + outputs)),
      sums_(inputs + outputs),
      transposed_(inputs * kBufferRows),
      joined_(kBufferRows * (inputs + outputs)),
      product_(products_.size()) {}

void NormalEquations::Add(MatrixView<const float> x, MatrixView<const float> y) {
  REPRISE_CHECK(x.rows == y.rows && x.columns == inputs_ && y.columns == outputs_);
  for (std::int64_t row = 0; row < x.rows; ++row) {
    float* joined = joined_.data() + buffered_ * (inputs_ + outputs_);
    std::copy_n(x.row(row), inputs_, joined);
    std::copy_n(y.row(row), outputs_, joined + inputs_);
    for (std::int64_t i = 0; i < inputs_; ++i) {
      transposed_[i * kBufferRows + buffered_] = joined[i];
    }
    for (std::int64_t i = 0; i < inputs_ + outputs_; ++i) sums_[i] += double{joined[i]};
    if (++buffered_ == kBufferRows) Flush();
  }
  rows_ += x.rows;
}

void NormalEquations::Flush() {
  MultiplyRows(transposed_.data(), kBufferRows, joined_.data(), inputs_ + outputs_,
               {inputs_, buffered_}, product_.data());
  for (std::size_t i = 0; i < products_.size(); ++i) products_[i] += double{product_[i]};
  buffered_ = 0;
}

void NormalEquations::Merge(NormalEquations& other) {
  REPRISE_CHECK(inputs_ == other.inputs_ && outputs_ == other.outputs_);
  other.Flush();
  for (std::size_t i = 0; i < products_.size(); ++i) products_[i] += other.products_[i];
  for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += other.sums_[i];
  rows_ += other.rows_;
}

absl::StatusOr<AffineMap> NormalEquations::Solve(std::span<const double> prior, double ridge) {
  REPRISE_CHECK(static_cast<std::int64_t>(prior.size()) == inputs_ * outputs_);
  Flush();
  const std::int64_t width = inputs_ + outputs_;
  const double rows = std::max<double>(static_cast<double>(rows_), 1);
  const Eigen::Map<const Eigen::RowVectorXd> x_sum(sums_.data(), inputs_);
  const Eigen::Map<const Eigen::RowVectorXd> y_sum(sums_.data() + inputs_, outputs_);
  const Eigen::Map<const Matrix> before(prior.data(), inputs_, outputs_);
  // Of rows whose means are taken away.
  Matrix xx = Strided(products_.data(), inputs_, inputs_, Eigen::OuterStride<>(width));
  Matrix xy = Strided(products_.data() + inputs_, inputs_, outputs_, Eigen::OuterStride<>(width));
  xx -= x_sum.transpose() * x_sum / rows;
  xy -= x_sum.transpose() * y_sum / rows;
  const double r = ridge * xx.trace() / static_cast<double>(inputs_);
  xx.diagonal().array() += r;
  xy += r * before;
  const Eigen::LLT<Matrix> cholesky(xx);
  if (cholesky.info() != Eigen::Success) {
    return absl::InvalidArgumentError(absl::StrCat("there is no best map from ", inputs_,
                                                   " inputs by ", rows_, " rows with a ridge of ",
                                                   ridge, "; give more text or a larger ridge"));
  }
  const Matrix weight = cholesky.solve(xy);
  const Eigen::RowVectorXd bias = (y_sum - x_sum * weight) / rows;
  AffineMap map;
  map.weight.assign(weight.data(), weight.data() + weight.size());
  map.bias.assign(bias.data(), bias.data() + bias.size());
  return map;
}

}  // namespace reprise::engine::analysis
