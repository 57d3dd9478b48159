// The weights of one encoder layer, packed: attention sublayer (if the plan leaves it) and
// feed-forward sublayer.
#pragma once

#include <optional>
#include <vector>

#include "engine/ops/layer_norm.h"
#include "engine/ops/linear.h"

namespace reprise::engine::layers {

// Owns what ops::LayerNormWeights borrows.
struct LayerNorm {
  std::vector<float> gamma;
  std::vector<float> beta;
  float eps = 1e-12f;

  ops::LayerNormWeights view() const { return {gamma, beta, eps}; }
};

// The input projection's columns are [queries of computed heads | keys of computed heads | values
// of all heads], head_dim columns per head, computed heads by ascending slot. Its panels hold whole
// heads.
struct AttentionWeights {
  ops::Linear input_projection;
  ops::Linear output_projection;
  LayerNorm norm;
  std::vector<float> relative_bias;  // [computed heads, 2 * max_distance - 1], or empty
};

struct FeedForwardWeights {
  ops::Linear up;  // with the activation in its epilogue
  ops::Linear down;
  LayerNorm norm;
};

struct EncoderLayer {
  std::optional<AttentionWeights> attention;  // none: the layer has no attention sublayer
  FeedForwardWeights feed_forward;
};

}  // namespace reprise::engine::layers
