#include "engine/analysis/similarity_table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/analysis/row_distance.h"
#include "engine/check.h"

namespace reprise::engine::analysis {

SimilarityTable::SimilarityTable(int layers, int heads) : layers_(layers), heads_(heads) {
  const std::size_t all = static_cast<std::size_t>(layers) * heads;
  const std::size_t pairs = all * (all - 1) / 2;
  sums_.resize(pairs);
  squares_.resize(pairs);
  distances_.resize(pairs);
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
  for (std::size_t pair = 0; pair < distances_.size(); ++pair) {
    const double similarity = 1 - distances_[pair] / (2 * static_cast<double>(scores.seq_len));
    sums_[pair] += similarity;
    squares_[pair] += similarity * similarity;
  }
  ++texts_;
}

void SimilarityTable::Merge(const SimilarityTable& other) {
  REPRISE_CHECK(layers_ == other.layers_ && heads_ == other.heads_);
  for (std::size_t pair = 0; pair < sums_.size(); ++pair) {
    sums_[pair] += other.sums_[pair];
    squares_[pair] += other.squares_[pair];
  }
  texts_ += other.texts_;
}

double SimilarityTable::mean(int head, int other) const {
  REPRISE_CHECK(texts_ > 0);
  return head == other ? 1 : sums_[Index(head, other)] / static_cast<double>(texts_);
}

double SimilarityTable::standard_error(int head, int other) const {
  if (head == other || texts_ < 2) return 0;
  const auto n = static_cast<double>(texts_);
  const double average = mean(head, other);
  const double variance = (squares_[Index(head, other)] / n - average * average) * n / (n - 1);
  return std::sqrt(std::max(variance, 0.0) / n);
}

std::vector<double> SimilarityTable::BestPairs() const {
  std::vector<double> best(static_cast<std::size_t>(layers_) * layers_, 0);
  for (int head = 0; head < layers_ * heads_; ++head) {
    for (int other = 0; other < layers_ * heads_; ++other) {
      double& found = best[static_cast<std::size_t>(head / heads_) * layers_ + other / heads_];
      found = std::max(found, mean(head, other));
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
