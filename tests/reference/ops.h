// The building blocks of a layer in plain double-precision loops: what a model is made of, and what
// single kernels are tested against.
#pragma once

#include <vector>

namespace reprise::reference {

using Matrix = std::vector<std::vector<double>>;  // [rows][columns]
Matrix Zeros(int rows, int columns);
std::vector<double> Flat(const Matrix& matrix);  // row after row

// y[r][o] = sum_i x[r][i] weight[o][i] + bias[o]; `bias` may be empty.
Matrix Linear(const Matrix& x, const Matrix& weight, const std::vector<double>& bias);

// probs[q][k] = softmax over k of scale * query[q] . key[k] + bias[q][k]; `bias` may be
// empty, and is -infinity where a query must not see a key. Requires: each query sees some key.
Matrix AttentionProbs(const Matrix& query, const Matrix& key, double scale, const Matrix& bias);

// context[q][c] = sum_k probs[q][k] value[k][c]
Matrix Context(const Matrix& probs, const Matrix& value);

// (x - mean) / sqrt(variance + eps) * gamma + beta, row by row.
Matrix LayerNorm(const Matrix& x, const std::vector<double>& gamma, const std::vector<double>& beta,
                 double eps);

double GeluErf(double x);   // x * Phi(x)
double GeluTanh(double x);  // its tanh approximation (Hendrycks and Gimpel 2016)

}  // namespace reprise::reference
