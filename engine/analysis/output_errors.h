// What it does to a layer's output that one head takes another's scores.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/score_capture.h"
#include "engine/architectures/bert_config.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::analysis {

// What of a model's weights is needed beside the captured scores.
struct HeadOutputs {
  std::vector<float> value_bias;  // [layers * heads * head_dim]
  // W_O W_O^T of each head's rows of the output projection: how long its contexts are behind it.
  std::vector<float> gram;  // [layers * heads, head_dim, head_dim]
};
absl::StatusOr<HeadOutputs> ReadHeadOutputs(const architectures::BertConfig& config,
                                            const weights::WeightSource& source);

// Head t of layer l computes A_t V_t W_t (V without its bias, which is the same for all A whose
// rows sum up to 1). With the scores of a head s of an earlier layer, scaled by w, it gives w A_s
// V_t W_t. Over all tokens of all texts
//   scale(t, s)  the w that is best, <A_t V_t W_t, A_s V_t W_t> / |A_s V_t W_t|^2
//   error(t, s)  what is left then, |A_t V_t W_t - w A_s V_t W_t|^2, by the squares that the
//   layer's
//                norm divides by (CapturedScores::residual_squares)
//   unscaled_error(t, s)  likewise with w = 1
// `outputs` must outlive it. Not thread-safe.
class OutputErrors {
 public:
  OutputErrors(const architectures::BertConfig& config, const HeadOutputs& outputs);

  void Add(const CapturedScores& scores);  // one text
  void Merge(const OutputErrors& other);

  double scale(int target, int source) const;  // 0 where the source gives nothing
  double error(int target, int source) const;
  double unscaled_error(int target, int source) const;

 private:
  std::size_t Index(int target, int source) const {
    return static_cast<std::size_t>(target) * heads_ * layers_ + source;
  }

  const int layers_;
  const int heads_;
  const int head_dim_;
  const HeadOutputs& outputs_;
  std::vector<double> own_;       // [heads]: |A_t V_t W_t|^2
  std::vector<double> products_;  // [heads, heads]: with that of s
  std::vector<double> squares_;   // [heads, heads]: |A_s V_t W_t|^2
  std::vector<double> residual_;  // [layers]
};

}  // namespace reprise::engine::analysis
