// What a transformer costs under a reuse plan, counted by formula.
//
// Source: Reuse Transformers (arXiv 2110.06821) gives (1 - K/2H) per reuse layer for the parameters
// and multiply-adds of attention; the formulas here count the same per head, so that they hold for
// any table. With d = hidden_size, a = num_heads * head_dim, c = head_dim * computed heads of the
// layer, n = length, one self-attention layer has
//   parameters     2 d c (query, key)  + 2 d a (value, output)         + biases 2 c + a + d
//   multiply-adds  2 d c n (query, key) + d a n (value) + c n^2 (query x key)
//                  + a n^2 (scores x value) + d a n (output)
// so a head that reuses scores drops its share of the query and key projections, of their biases,
// and of query x key. Cross-attention of m targets on n sources counts query and output on m, key
// and value on n, and m n in place of n^2. The feed-forward sublayer adds 2 d intermediate_size per
// token. Softmax, norms and activations are not counted: they are no multiply-adds of a matrix
// product.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::engine::reuse {

// A model as far as its cost goes. The defaults are BERT's. An encoder-decoder has a decoder stack
// of the encoder's dimensions, each layer with self- and cross-attention; a plan then applies to
// the three kinds of attention alike.
struct TransformerShape {
  enum class Norm { kLayerNorm, kRms };  // scale and shift, or scale only

  int num_layers = 0;  // of each stack
  int num_heads = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int head_dim = 0;  // 0: hidden_size / num_heads
  bool has_decoder = false;
  bool attention_bias = true;  // of query, key, value and output
  bool feed_forward_bias = true;
  Norm norm = Norm::kLayerNorm;  // one per sublayer
  bool final_norm = false;       // one more after each stack, as in pre-LN models

  int vocab_size = 0;  // an output layer that shares this table adds no parameters
  int max_position_embeddings = 0;
  int type_vocab_size = 0;
  bool embedding_norm = true;
  // Values of one image patch; not 0: a biased projection of patches and a class token.
  int patch_size = 0;
  int relative_buckets = 0;       // a table [relative_buckets, num_heads] per stack (T5)
  int relative_position_max = 0;  // M: a table [computed heads, 2M-1] in each layer
  bool pooler = false;            // biased, hidden_size x hidden_size
  int num_labels = 0;             // of a biased classifier; 0: none
};

// Lengths in tokens of one request's sequence; an image of 24 x 24 patches has 577.
struct SequenceLengths {
  std::int64_t source = 0;  // n, of the encoder
  std::int64_t target = 0;  // m, of the decoder; ignored without one
};

// Multiply-adds of matrix products, by what they are for. One multiply-add is two FLOPs.
struct MultiplyAdds {
  std::int64_t input_projection = 0;  // query, key, value
  std::int64_t scores = 0;            // query x key
  std::int64_t context = 0;           // scores x value
  std::int64_t output_projection = 0;
  std::int64_t feed_forward = 0;
  std::int64_t patch_embedding = 0;  // of an image model

  std::int64_t total() const {
    return input_projection + scores + context + output_projection + feed_forward + patch_embedding;
  }
  MultiplyAdds& operator+=(const MultiplyAdds& other);
  friend bool operator==(const MultiplyAdds&, const MultiplyAdds&) = default;
};

// Entries of score matrices, n^2 per head and sequence over real tokens. total() equals the exact
// plan's: heads of a layer without attention have no scores, they count as `absent`.
struct ScoreEntries {
  std::int64_t computed = 0;    // from the layer's own queries and keys
  std::int64_t reused = 0;      // read from the score cache
  std::int64_t recomputed = 0;  // rebuilt from the source layer's kept queries and keys
  std::int64_t absent = 0;

  std::int64_t total() const { return computed + reused + recomputed + absent; }
  friend bool operator==(const ScoreEntries&, const ScoreEntries&) = default;
};

// How numbers are kept, and whether reuse layers read stored scores or rebuild them.
struct Storage {
  int weight_bytes = 4;      // per entry of a weight matrix
  int vector_bytes = 4;      // per entry of a bias, norm or relative position table
  int activation_bytes = 4;  // per entry of queries, keys and values
  int score_bytes = 4;       // per entry of a stored score matrix
  bool scores_stored = true;
};

// Bytes of one sequence against the exact plan, what reuse costs already taken off.
struct MemorySaved {
  std::int64_t parameters = 0;
  // Queries and keys that are never written, summed over the layers. (An arena that layers share
  // is as large as its largest layer, which is an exact one in every plan of the paper.)
  std::int64_t activations = 0;
  std::int64_t scores = 0;  // <= 0: minus the stored score matrices that are alive at once
};

struct PlanSavings {
  std::int64_t parameters = 0;
  std::int64_t exact_parameters = 0;
  MultiplyAdds multiply_adds;
  MultiplyAdds exact_multiply_adds;
  ScoreEntries scores;
  std::int64_t score_bytes = 0;  // stored score matrices alive at once
  // K cache of one stack of decoder self-attention per generated token. Cross-attention keeps as
  // many bytes per source token.
  std::int64_t key_cache_bytes_per_token = 0;
  std::int64_t exact_key_cache_bytes_per_token = 0;
  MemorySaved memory_saved;

  double parameters_ratio() const;
  double multiply_adds_ratio() const;
};

// Largest widths and sequence lengths whose costs are computed: within them no count below
// overflows.
inline constexpr int kMaxWidth = 1 << 16;
inline constexpr int kMaxSequenceLength = 1 << 16;

// InvalidArgument unless `shape` has the layers and heads of `plan`, widths are in 1..kMaxWidth,
// table lengths in 0..2^31-1 and sequence lengths in 0..kMaxSequenceLength. The other functions
// require a valid shape and plan.
absl::Status CheckCostInput(const TransformerShape& shape, const ReusePlan& plan,
                            const SequenceLengths& lengths);

// Parameters of the whole model: embeddings, stacks, pooler and classifier (papers: "Params").
std::int64_t ParameterCount(const TransformerShape& shape, const ReusePlan& plan);

// One encoder layer on one sequence of n tokens with `computed_heads` computed heads. A layer
// without attention costs its feed-forward sublayer only. Cheap enough to call per sequence.
MultiplyAdds EncoderLayerMultiplyAdds(const TransformerShape& shape, int computed_heads,
                                      std::int64_t n);
MultiplyAdds LayerMultiplyAddsWithoutAttention(const TransformerShape& shape, std::int64_t n);

// Query x key of one head on n tokens: what a head that rebuilds scores instead of reading them
// adds to its layer.
std::int64_t ScoreMultiplyAddsPerHead(const TransformerShape& shape, std::int64_t n);

// All layers of the model and an image model's patch embedding; no other embedding, no output
// layer (papers: "FLOPS"). Reuse heads read stored scores.
MultiplyAdds ModelMultiplyAdds(const TransformerShape& shape, const ReusePlan& plan,
                               const SequenceLengths& lengths);

// Keys per token that decoding keeps over all layers: computed heads only.
std::int64_t KeyCacheBytesPerToken(const TransformerShape& shape, const ReusePlan& plan,
                                   int activation_bytes);

// Everything above for `plan` against the exact plan of the same shape, for one request.
PlanSavings Predict(const TransformerShape& shape, const ReusePlan& plan,
                    const SequenceLengths& lengths, const Storage& storage = {});

}  // namespace reprise::engine::reuse
