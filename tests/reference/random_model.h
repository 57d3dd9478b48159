// Random models and texts from a seed: the same numbers on every machine.
//
//   Random random(seed);
//   BertModel model = RandomModel(RandomConfig(random), NumberFormat::kF32, random);
//   SCOPED_TRACE(absl::StrCat("seed ", seed, ": ", Describe(model.config)));
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "tests/reference/bert.h"
#include "tests/reference/number_format.h"

namespace reprise::reference {

// A source of random numbers. The standard library's distributions differ between libraries, so
// only its generator is used.
class Random {
 public:
  explicit Random(std::uint64_t seed) : generator_(seed) {}
  int Integer(int low, int high);  // low..high, both included
  bool Coin() { return Integer(0, 1) == 1; }
  double Normal(double standard_deviation);
  template <typename T>
  T OneOf(const std::vector<T>& choices) {
    return choices[Integer(0, static_cast<int>(choices.size()) - 1)];
  }

 private:
  std::mt19937_64 generator_;
};

// A recipe of `kind` with any of its allowed numbers. Requires: for kAllEnd,
// num_layers >= 3.
ReuseRecipe RandomRecipe(ReuseRecipe::Kind kind, int num_layers, int num_heads, Random& random);

// A free table: each head of a later layer is computed, or names any head of an earlier layer that
// has attention, itself computed or not.
SourceMap RandomTable(int num_layers, int num_heads, Random& random);

// Any shape and any option, small enough for the reference to run in a fraction of a second: up to
// 6 layers, 1 to 16 heads, hidden_size up to 256, 64 positions. Without `kind`, any kind of reuse.
BertConfig RandomConfig(Random& random);
BertConfig RandomConfig(ReuseRecipe::Kind kind, Random& random);

// Weights for `config`, rounded to `format` so that a checkpoint written in it holds the same
// numbers. Sizes are chosen so that attention is neither uniform nor one-hot, biases and LayerNorm
// parameters matter, and values stay near 1 through any number of layers.
BertModel RandomModel(const BertConfig& config, NumberFormat format, Random& random);

// Any ids and types, positions 0, 1, 2, ... Requires: 1 <= length <= max_position_embeddings.
Sequence RandomSequence(const BertConfig& config, int length, Random& random);

// 0 and 1 in any order, at least one 1.
std::vector<int> RandomMask(int length, Random& random);

// The model whose layers all compute their own heads, with fresh random weights where `model` has
// none. Its other weights are those of `model`.
BertModel WithAllHeadsComputed(const BertModel& model, NumberFormat format, Random& random);

}  // namespace reprise::reference
