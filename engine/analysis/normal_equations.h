// Linear regression with a prior, from sums over rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/tensor/matrix_view.h"

namespace reprise::engine::analysis {

// y = x W + b with W [inputs, outputs] row-major.
struct AffineMap {
  std::vector<double> weight;
  std::vector<double> bias;
};

// Sums x^T x and x^T y of rows x [inputs] and their targets y [outputs]: products in fp32 over some
// hundred rows, sums of those in double. Not thread-safe.
class NormalEquations {
 public:
  NormalEquations(std::int64_t inputs, std::int64_t outputs);

  // Requires: as many rows of x as of y.
  void Add(MatrixView<const float> x, MatrixView<const float> y);
  void Merge(NormalEquations& other);

  std::int64_t rows() const { return rows_; }

  // The map that makes the sum over rows of |x W + b - y|^2 + r |W - prior|^2 least, where r is
  // `ridge` times the mean over inputs of the sum of (x - mean x)^2; so ridge does not depend on
  // the number of rows or the scale of x. Solved in double by Cholesky's decomposition. prior:
  // [inputs, outputs]. InvalidArgument when the inputs are so dependent that no map is best: only
  // possible with ridge 0 or fewer than two rows.
  absl::StatusOr<AffineMap> Solve(std::span<const double> prior, double ridge);

 private:
  void Flush();

  const std::int64_t inputs_, outputs_;
  std::int64_t rows_ = 0;
  std::vector<double> products_;  // [inputs, inputs + outputs]: x^T x | x^T y
  std::vector<double> sums_;      // [inputs + outputs]
  // Rows not added yet, x transposed [inputs, kBufferRows] and x | y [kBufferRows, inputs +
  // outputs].
  std::int64_t buffered_ = 0;
  std::vector<float> transposed_, joined_, product_;
};

}  // namespace reprise::engine::analysis
