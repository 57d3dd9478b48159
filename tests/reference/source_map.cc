#include "tests/reference/source_map.h"

#include <stdexcept>

namespace reprise::reference {
namespace {

std::vector<HeadRef> Self(int layer, int num_heads) {
  std::vector<HeadRef> heads;
  for (int head = 0; head < num_heads; ++head) heads.push_back({layer, head});
  return heads;
}

}  // namespace

SourceMap ExactMap(int num_layers, int num_heads) {
  SourceMap map;
  for (int layer = 0; layer < num_layers; ++layer) map.source.push_back(Self(layer, num_heads));
  map.has_attention.assign(num_layers, true);
  return map;
}

SourceMap ProposedMap(int num_layers, int num_heads, int reused_heads, int reuse_layers) {
  SourceMap map;
  map.has_attention.assign(num_layers, true);
  const int new_heads = num_heads - reused_heads;
  std::vector<HeadRef> stack;  // R[l-1]: labels of the matrices the layer before passed on
  for (int l = 1; l <= num_layers; ++l) {
    const int layer = l - 1;
    const bool reuses = l >= 2 && l <= reuse_layers + 1;
    if (!reuses) {
      stack = Self(layer, num_heads);
    } else {
      std::vector<HeadRef> next = Self(layer, new_heads);
      for (int slot = 0; slot < reused_heads; ++slot) next.push_back(stack[slot]);
      stack = next;
    }
    map.source.push_back(stack);
  }
  return map;
}

SourceMap AlternateMap(int num_layers, int num_heads, int reuse_layers) {
  SourceMap map = ExactMap(num_layers, num_heads);
  for (int pair = 1; pair <= reuse_layers; ++pair) {
    const int l = 2 * pair;
    map.source[l - 1] = Self(l - 2, num_heads);
  }
  return map;
}

SourceMap AllEndMap(int num_layers, int num_heads, int reuse_layers) {
  SourceMap map = ExactMap(num_layers, num_heads);
  const int source_layer = num_layers - reuse_layers - 1;
  for (int l = source_layer + 1; l <= num_layers - 1; ++l) {
    map.source[l - 1] = Self(source_layer - 1, num_heads);
  }
  return map;
}

SourceMap SkipMap(int num_layers, int num_heads, int reuse_layers) {
  SourceMap map = ExactMap(num_layers, num_heads);
  for (int l = 2; l <= reuse_layers + 1; ++l) map.has_attention[l - 1] = false;
  return map;
}

HeadRef Resolve(const SourceMap& map, HeadRef head) {
  while (map.source[head.layer][head.head] != head) head = map.source[head.layer][head.head];
  return head;
}

std::vector<int> ComputedHeads(const SourceMap& map, int layer) {
  std::vector<int> computed;
  if (!map.has_attention[layer]) return computed;
  const int num_heads = static_cast<int>(map.source[layer].size());
  for (int head = 0; head < num_heads; ++head) {
    if (map.source[layer][head] == HeadRef{layer, head}) computed.push_back(head);
  }
  return computed;
}

SourceMap MapOf(const ReuseRecipe& recipe, int num_layers, int num_heads) {
  switch (recipe.kind) {
    case ReuseRecipe::Kind::kExact:
      return ExactMap(num_layers, num_heads);
    case ReuseRecipe::Kind::kProposed:
      return ProposedMap(num_layers, num_heads, recipe.heads, recipe.layers);
    case ReuseRecipe::Kind::kAlternate:
      return AlternateMap(num_layers, num_heads, recipe.layers);
    case ReuseRecipe::Kind::kAllEnd:
      return AllEndMap(num_layers, num_heads, recipe.layers);
    case ReuseRecipe::Kind::kSkip:
      return SkipMap(num_layers, num_heads, recipe.layers);
    case ReuseRecipe::Kind::kTable:
      return recipe.table;
  }
  throw std::logic_error("unknown kind of reuse recipe");
}

std::string Describe(const ReuseRecipe& recipe) {
  const std::string layers = " P=" + std::to_string(recipe.layers);
  switch (recipe.kind) {
    case ReuseRecipe::Kind::kExact:
      return "exact";
    case ReuseRecipe::Kind::kProposed:
      return "proposed K=" + std::to_string(recipe.heads) + layers;
    case ReuseRecipe::Kind::kAlternate:
      return "alternate" + layers;
    case ReuseRecipe::Kind::kAllEnd:
      return "all_end" + layers;
    case ReuseRecipe::Kind::kSkip:
      return "skip" + layers;
    case ReuseRecipe::Kind::kTable:
      return "table";
  }
  throw std::logic_error("unknown kind of reuse recipe");
}

}  // namespace reprise::reference
