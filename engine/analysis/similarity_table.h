// How alike the attention of heads is: the paper's measure (arXiv 2110.06821, eq. 2 and 3).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/status/statusor.h"
#include "engine/analysis/score_capture.h"

namespace reprise::engine::analysis {

// For two heads on one text of n tokens, with probabilities A and A':
//   S = 1 - 1/n sum_q 1/2 sum_k |A[q, k] - A'[q, k]|      in [0, 1]; 1 for equal attention
// The table holds the mean of S over the texts, each counted once whatever its length, for every
// pair of heads, and how sure that mean is. Head h of layer l is number l * heads + h. S of a text
// is rounded to a multiple of 2^-32 and sums are those of integers: the same texts give the same
// table in any order and however they were split. Not thread-safe.
class SimilarityTable {
 public:
  SimilarityTable(int layers, int heads);

  void Add(const CapturedScores& scores);    // one text
  void Merge(const SimilarityTable& other);  // of the same shape

  int layers() const { return layers_; }
  int heads() const { return heads_; }
  std::int64_t texts() const { return sums_.texts; }
  // Requires: at least one text.
  double mean(int head, int other) const;
  // Of the mean, from how much the texts differ; 0 for fewer than two texts.
  double standard_error(int head, int other) const;
  // The mean over other texts of the kind lies within that many standard errors of this one with a
  // probability of 95 %, as Student's distribution has it; 0 for fewer than two texts.
  double standard_errors_of_95_percent() const;

  // What a table is made of, for a file. Of pairs (i, j), i < j, row by row; S in units of 2^-32.
  struct Sums {
    std::int64_t texts = 0;
    std::vector<std::uint64_t> similarities;
    std::vector<absl::uint128> squares;
  };
  const Sums& sums() const { return sums_; }
  // InvalidArgument for sums that no texts can give, and for more or fewer than the heads' pairs.
  static absl::StatusOr<SimilarityTable> FromSums(int layers, int heads, Sums sums);
  // What a table takes.
  static std::int64_t BytesFor(int layers, int heads);

  // The two heads of two layers that are most alike, of several the first ones; of a layer and
  // itself its first head twice.
  struct Pair {
    int head = 0;
    int other = 0;
  };
  Pair BestPair(int layer, int other_layer) const;

  // The paper's figures are reductions of the table.
  // [layers, layers]: the mean of the most alike pair of heads of two layers (figures 2 and 6).
  std::vector<double> BestPairs() const;
  // [layers - 1, heads]: for layer 1 and up, how alike each head's best match in the layer before
  // is, ascending (figure 3).
  std::vector<double> RankedMatches() const;

 private:
  std::size_t Index(int head, int other) const;

  int layers_;
  int heads_;
  Sums sums_;
  std::vector<double> distances_;  // of the text being added: sum over queries of sum_k |A - A'|
};

}  // namespace reprise::engine::analysis
