#include "engine/weights/random_source.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/match.h"
#include "engine/check.h"

namespace reprise::engine::weights {
namespace {

constexpr float kStandardDeviation = 0.02f;

// FNV-1a: std::hash may differ between libraries.
std::uint64_t HashName(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose outputs on consecutive
// multiples of an odd constant pass for random.
std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// The sum of four independent uniform 16-bit numbers: a bell curve without tails (at most 3.46
// standard deviations from its mean), from integers alone, so that every machine draws the same.
float BellShaped(std::uint64_t bits) {
  const std::int32_t sum = static_cast<std::int32_t>((bits & 0xffff) + ((bits >> 16) & 0xffff) +
                                                     ((bits >> 32) & 0xffff) + (bits >> 48));
  constexpr std::int32_t kMean = 2 * 0xffff;
  // Variance 4 (2^32 - 1) / 12.
  constexpr float kScale = kStandardDeviation / 37837.227f;
  return static_cast<float>(sum - kMean) * kScale;
}

bool IsNorm(const std::string& name) {
  return absl::StrContains(name, "LayerNorm.") || absl::StrContains(name, "layer_norm.");
}

}  // namespace

RandomSource::RandomSource(const std::vector<TensorSpec>& tensors, std::uint64_t seed)
    : seed_(seed) {
  for (const TensorSpec& tensor : tensors) shapes_[tensor.name] = tensor.shape;
}

absl::StatusOr<std::vector<std::int64_t>> RandomSource::Shape(const std::string& name) const {
  const auto it = shapes_.find(name);
  if (it == shapes_.end()) return MissingTensor("the random weights", name);
  return it->second;
}

absl::StatusOr<std::vector<float>> RandomSource::Read(const std::string& name,
                                                      std::span<const std::int64_t> shape) const {
  REPRISE_ASSIGN_OR_RETURN(const std::vector<std::int64_t> own, Shape(name));
  REPRISE_RETURN_IF_ERROR(CheckShape("the random weights", name, own, shape));
  std::vector<float> values(static_cast<std::size_t>(ElementCount(shape)));
  if (IsNorm(name)) {
    std::ranges::fill(values, absl::EndsWith(name, ".weight") ? 1.0f : 0.0f);
    return values;
  }
  std::uint64_t state = Mix(seed_ ^ HashName(name));
  for (float& value : values) {
    state += 0x9e3779b97f4a7c15u;
    value = BellShaped(Mix(state));
  }
  return values;
}

}  // namespace reprise::engine::weights
