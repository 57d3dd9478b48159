#include "engine/analysis/attention_maps.h"

#include <memory>

#include "engine/analysis/score_capture.h"
#include "engine/analysis/similarity_table.h"
#include "engine/check.h"

namespace reprise::engine::analysis {
namespace {

std::vector<float> MatrixOf(const CapturedScores& scores, std::int64_t head) {
  std::vector<float> matrix;
  for (std::int64_t query = 0; query < scores.seq_len; ++query) {
    const float* row = scores.row(head, query);
    matrix.insert(matrix.end(), row, row + scores.seq_len);
  }
  return matrix;
}

}  // namespace

absl::StatusOr<AttentionMaps> CaptureMaps(const architectures::BertConfig& config,
                                          const architectures::BertWeights& weights,
                                          const std::vector<std::int32_t>& ids,
                                          const std::vector<std::string>& tokens,
                                          const std::vector<HeadPair>& pairs) {
  REPRISE_CHECK(ids.size() == tokens.size());
  REPRISE_ASSIGN_OR_RETURN(
      const std::unique_ptr<ScoreCapture> capture,
      ScoreCapture::Create(config, weights, {static_cast<std::int64_t>(ids.size())}));
  const CapturedScores scores = capture->Run(ids, {});
  SimilarityTable table(config.num_layers, config.num_heads);
  table.Add(scores);
  AttentionMaps maps;
  maps.tokens = tokens;
  for (const HeadPair& pair : pairs) {
    const int first = pair.first.layer * config.num_heads + pair.first.head;
    const int second = pair.second.layer * config.num_heads + pair.second.head;
    maps.pairs.push_back(
        {pair, table.mean(first, second), MatrixOf(scores, first), MatrixOf(scores, second)});
  }
  return maps;
}

}  // namespace reprise::engine::analysis
