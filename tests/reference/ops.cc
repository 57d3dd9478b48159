#include "tests/reference/ops.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace reprise::reference {

Matrix Zeros(int rows, int columns) { return Matrix(rows, std::vector<double>(columns, 0.0)); }

std::vector<double> Flat(const Matrix& matrix) {
  std::vector<double> values;
  for (const std::vector<double>& row : matrix) values.insert(values.end(), row.begin(), row.end());
  return values;
}

Matrix Linear(const Matrix& x, const Matrix& weight, const std::vector<double>& bias) {
  Matrix y(x.size(), std::vector<double>(weight.size(), 0.0));
  for (std::size_t r = 0; r < x.size(); ++r) {
    for (std::size_t o = 0; o < weight.size(); ++o) {
      double sum = bias.empty() ? 0.0 : bias[o];
      for (std::size_t i = 0; i < x[r].size(); ++i) sum += x[r][i] * weight[o][i];
      y[r][o] = sum;
    }
  }
  return y;
}

Matrix AttentionProbs(const Matrix& query, const Matrix& key, double scale, const Matrix& bias) {
  Matrix probs(query.size(), std::vector<double>(key.size(), 0.0));
  for (std::size_t q = 0; q < query.size(); ++q) {
    for (std::size_t k = 0; k < key.size(); ++k) {
      double score = 0.0;
      for (std::size_t c = 0; c < query[q].size(); ++c) score += query[q][c] * key[k][c];
      probs[q][k] = scale * score + (bias.empty() ? 0.0 : bias[q][k]);
    }
    const double maximum = *std::max_element(probs[q].begin(), probs[q].end());
    double sum = 0.0;
    for (double& p : probs[q]) {
      p = std::exp(p - maximum);
      sum += p;
    }
    for (double& p : probs[q]) p /= sum;
  }
  return probs;
}

Matrix Context(const Matrix& probs, const Matrix& value) {
  Matrix context(probs.size(), std::vector<double>(value[0].size(), 0.0));
  for (std::size_t q = 0; q < probs.size(); ++q) {
    for (std::size_t k = 0; k < value.size(); ++k) {
      for (std::size_t c = 0; c < value[k].size(); ++c) context[q][c] += probs[q][k] * value[k][c];
    }
  }
  return context;
}

Matrix LayerNorm(const Matrix& x, const std::vector<double>& gamma, const std::vector<double>& beta,
                 double eps) {
  Matrix y = x;
  for (std::vector<double>& row : y) {
    double mean = 0.0;
    for (const double value : row) mean += value;
    mean /= static_cast<double>(row.size());
    double variance = 0.0;
    for (const double value : row) variance += (value - mean) * (value - mean);
    variance /= static_cast<double>(row.size());
    for (std::size_t c = 0; c < row.size(); ++c) {
      row[c] = (row[c] - mean) / std::sqrt(variance + eps) * gamma[c] + beta[c];
    }
  }
  return y;
}

double GeluErf(double x) { return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))); }

double GeluTanh(double x) {
  constexpr double kPi = 3.14159265358979323846;
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
}

}  // namespace reprise::reference
