#include "engine/analysis/similarity_table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/analysis/row_distance.h"
#include "engine/check.h"

namespace reprise::engine::analysis {

namespace {

constexpr std::uint64_t kOne = std::uint64_t{1} << 32;  // of the units that S is summed in

std::size_t PairsOf(int layers, int heads) {
  const std::size_t all = static_cast<std::size_t>(layers) * heads;
  return all * (all - 1) / 2;
}

// The 97.5 % quantile of Student's distribution, by the expansion around the normal one (Abramowitz
// and Stegun, 26.7.5), within 0.2 % from three degrees of freedom on.
double StudentQuantile(double degrees) {
  if (degrees == 1) return 12.7062;
  if (degrees == 2) return 4.3027;
  constexpr double z = 1.959964, z2 = z * z;
  const double first = z * (z2 + 1) / 4;
  const double second = z * ((5 * z2 + 16) * z2 + 3) / 96;
  const double third = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
  const double fourth = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
  return z + (first + (second + (third + fourth / degrees) / degrees) / degrees) / degrees;
}

}  // namespace

SimilarityTable::SimilarityTable(int layers, int heads) : layers_(layers), heads_(heads) {
  const std::size_t pairs = PairsOf(layers, heads);
  sums_.similarities.resize(pairs);
  sums_.squares.resize(pairs);
  distances_.resize(pairs);
}

absl::StatusOr<SimilarityTable> SimilarityTable::FromSums(int layers, int heads, Sums sums) {
  const std::size_t pairs = PairsOf(layers, heads);
  if (sums.similarities.size() != pairs || sums.squares.size() != pairs) {
    return absl::InvalidArgumentError(absl::StrCat("there are sums of ", sums.similarities.size(),
                                                   " pairs of heads and squares of ",
                                                   sums.squares.size(), "; expected ", pairs));
  }
  const auto texts = static_cast<absl::uint128>(sums.texts);
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const absl::uint128 sum = sums.similarities[pair], square = sums.squares[pair];
    // S lies between 0 and 1, and a mean's square is at most the squares' mean.
    if (sums.texts < 0 || sum > texts * kOne || square > sum * kOne || sum * sum > texts * square) {
      return absl::InvalidArgumentError(absl::StrCat("the sums of pair ", pair, " cannot be of ",
                                                     sums.texts, " texts: the file is damaged"));
    }
  }
  SimilarityTable table(layers, heads);
  table.sums_ = std::move(sums);
  return table;
}

std::int64_t SimilarityTable::BytesFor(int layers, int heads) {
  return static_cast<std::int64_t>(
      PairsOf(layers, heads) * (sizeof(std::uint64_t) + sizeof(absl::uint128) + sizeof(double)));
}

std::size_t SimilarityTable::Index(int head, int other) const {
  const auto [i, j] = std::minmax(head, other);
  const std::size_t all = static_cast<std::size_t>(layers_) * heads_;
  return static_cast<std::size_t>(i) * (2 * all - i - 1) / 2 + (j - i - 1);
}

void SimilarityTable::Add(const CapturedScores& scores) {
  const int all = layers_ * heads_;
  std::fill(distances_.begin(), distances_.end(), 0);
  // Query by query: that row of all heads stays in the first level cache.
  std::vector<const float*> rows(all);
  for (std::int64_t query = 0; query < scores.seq_len; ++query) {
    for (int head = 0; head < all; ++head) rows[head] = scores.row(head, query);
    AddRowDistances(rows, scores.row_stride, distances_);
  }
  const double to_units = static_cast<double>(kOne) / (2 * static_cast<double>(scores.seq_len));
  for (std::size_t pair = 0; pair < distances_.size(); ++pair) {
    const double distance = std::min(std::round(distances_[pair] * to_units), double{kOne});
    const std::uint64_t similarity = kOne - static_cast<std::uint64_t>(distance);
    sums_.similarities[pair] += similarity;
    sums_.squares[pair] += absl::uint128(similarity) * similarity;
  }
  ++sums_.texts;
}

void SimilarityTable::Merge(const SimilarityTable& other) {
  REPRISE_CHECK(layers_ == other.layers_ && heads_ == other.heads_);
  for (std::size_t pair = 0; pair < distances_.size(); ++pair) {
    sums_.similarities[pair] += other.sums_.similarities[pair];
    sums_.squares[pair] += other.sums_.squares[pair];
  }
  sums_.texts += other.sums_.texts;
}

double SimilarityTable::mean(int head, int other) const {
  REPRISE_CHECK(texts() > 0);
  if (head == other) return 1;
  return static_cast<double>(sums_.similarities[Index(head, other)]) / kOne /
         static_cast<double>(texts());
}

double SimilarityTable::standard_error(int head, int other) const {
  if (head == other || texts() < 2) return 0;
  const auto n = static_cast<double>(texts());
  const absl::uint128 sum = sums_.similarities[Index(head, other)];
  // Exact, so nothing cancels: n^2 times the variance, in squared units.
  const absl::uint128 spread =
      static_cast<absl::uint128>(texts()) * sums_.squares[Index(head, other)] - sum * sum;
  return std::sqrt(static_cast<double>(spread) / (n * n * (n - 1))) / kOne;
}

double SimilarityTable::standard_errors_of_95_percent() const {
  return texts() < 2 ? 0 : StudentQuantile(static_cast<double>(texts() - 1));
}

SimilarityTable::Pair SimilarityTable::BestPair(int layer, int other_layer) const {
  Pair best = {layer * heads_, other_layer * heads_};
  if (layer == other_layer) return best;
  for (int head = layer * heads_; head < (layer + 1) * heads_; ++head) {
    for (int other = other_layer * heads_; other < (other_layer + 1) * heads_; ++other) {
      if (mean(head, other) > mean(best.head, best.other)) best = {head, other};
    }
  }
  return best;
}

std::vector<double> SimilarityTable::BestPairs() const {
  std::vector<double> best;
  for (int layer = 0; layer < layers_; ++layer) {
    for (int other = 0; other < layers_; ++other) {
      const Pair pair = BestPair(layer, other);
      best.push_back(mean(pair.head, pair.other));
    }
  }
  return best;
}

std::vector<double> SimilarityTable::RankedMatches() const {
  std::vector<double> matches;
  for (int layer = 1; layer < layers_; ++layer) {
    for (int head = 0; head < heads_; ++head) {
      double best = 0;
      for (int other = 0; other < heads_; ++other) {
        best = std::max(best, mean(layer * heads_ + head, (layer - 1) * heads_ + other));
      }
      matches.push_back(best);
    }
    std::sort(matches.end() - heads_, matches.end());
  }
  return matches;
}

}  // namespace reprise::engine::analysis
