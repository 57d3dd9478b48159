// Which earlier head each attention head of a reuse transformer takes its probabilities from, found
// by acting the rules out.
//
// Source: Reuse Transformers (arXiv 2110.06821), Algorithm 1, and the variants of its Table 7.
// Linked only into tests.

#pragma once

#include <string>
#include <vector>

namespace reprise::reference {

// One head of one layer, both 0-based.
struct HeadRef {
  int layer = 0;
  int head = 0;
  bool operator==(const HeadRef&) const = default;
};

// source[layer][head] is where the head takes its attention_probs from; itself when it computes
// them. An entry may name another reuse head (a chain). A layer without attention (has_attention
// false) lists itself everywhere.
struct SourceMap {
  std::vector<std::vector<HeadRef>> source;
  std::vector<bool> has_attention;
  bool operator==(const SourceMap&) const = default;
};

// Every head computes its own probabilities: an ordinary transformer.
SourceMap ExactMap(int num_layers, int num_heads);

// Algorithm 1 as printed, with labels in place of matrices. Layer 1 (1-based) computes all heads;
// layers 2..P+1 put H-K fresh matrices in front of the first K of the stack they receive; the rest
// compute all heads.
//   reused_heads  K, 0..num_heads;  reuse_layers  P, 0..num_layers-1
SourceMap ProposedMap(int num_layers, int num_heads, int reused_heads, int reuse_layers);

// Layers 2, 4, .., 2P (1-based) take every head from the layer just before. P in 0..num_layers/2.
SourceMap AlternateMap(int num_layers, int num_heads, int reuse_layers);

// Layers L-P .. L-1 (1-based) take every head from layer L-P-1; the last layer computes. P
// in 1..num_layers-2.
SourceMap AllEndMap(int num_layers, int num_heads, int reuse_layers);

// Layers 2..P+1 (1-based) have no attention sublayer at all. P in 0..num_layers-1.
SourceMap SkipMap(int num_layers, int num_heads, int reuse_layers);

// Follows a chain to the head that computes the probabilities.
HeadRef Resolve(const SourceMap& map, HeadRef head);

// The heads of `layer` that compute their own probabilities, ascending. Empty for a layer without
// attention.
std::vector<int> ComputedHeads(const SourceMap& map, int layer);

// How a model says which map it has: the paper's two numbers, a variant, or the table itself.
struct ReuseRecipe {
  enum class Kind { kExact, kProposed, kAlternate, kAllEnd, kSkip, kTable };
  Kind kind = Kind::kExact;
  int heads = 0;    // K, for kProposed
  int layers = 0;   // P, for all generators
  SourceMap table;  // for kTable
};

SourceMap MapOf(const ReuseRecipe& recipe, int num_layers, int num_heads);

// One word and the numbers, for messages of failing tests.
std::string Describe(const ReuseRecipe& recipe);

}  // namespace reprise::reference
