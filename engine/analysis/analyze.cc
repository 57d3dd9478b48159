#include "engine/analysis/analyze.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/analysis/score_capture.h"
#include "engine/check.h"
#include "engine/device/cpu/thread_team.h"

namespace reprise::engine::analysis {
namespace {

absl::Status CheckText(const std::vector<std::int32_t>& ids,
                       const architectures::BertConfig& config, std::size_t number) {
  if (ids.empty() || static_cast<int>(ids.size()) > config.max_position_embeddings) {
    return absl::InvalidArgumentError(absl::StrCat("text ", number, " has ", ids.size(),
                                                   " tokens; expected 1 to ",
                                                   config.max_position_embeddings));
  }
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= config.vocab_size) {
      return absl::InvalidArgumentError(absl::StrCat("text ", number, " has the token id ", id,
                                                     "; expected 0 to ", config.vocab_size - 1));
    }
  }
  return absl::OkStatus();
}

// Adds every text to a copy of `empty` for each thread, and merges them.
template <typename Sum>
absl::StatusOr<Sum> SumOverTexts(const architectures::BertConfig& config,
                                 const architectures::BertWeights& weights,
                                 const std::vector<std::vector<std::int32_t>>& texts,
                                 const AnalysisOptions& options, const Sum& empty) {
  REPRISE_CHECK(options.threads >= 1);
  if (texts.empty()) return absl::InvalidArgumentError("there is no text to analyse");
  std::size_t longest = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    REPRISE_RETURN_IF_ERROR(CheckText(texts[i], config, i));
    longest = std::max(longest, texts[i].size());
  }

  device::ThreadTeam team({.threads = options.threads});
  std::vector<std::unique_ptr<ScoreCapture>> captures;
  std::vector<Sum> sums;
  for (int worker = 0; worker < team.size(); ++worker) {
    REPRISE_ASSIGN_OR_RETURN(
        std::unique_ptr<ScoreCapture> capture,
        ScoreCapture::Create(config, weights, {.max_seq_len = static_cast<std::int64_t>(longest)}));
    captures.push_back(std::move(capture));
    sums.push_back(empty);
  }
  std::mutex mutex;
  int done = 0;
  const int total = static_cast<int>(texts.size());
  team.ParallelFor(total, [&](std::int64_t text, int worker) {
    sums[worker].Add(captures[worker]->Run(texts[text], {}));
    if (!options.progress) return;
    const std::lock_guard lock(mutex);
    options.progress(++done, total);
  });
  for (int worker = 1; worker < team.size(); ++worker) sums[0].Merge(sums[worker]);
  return std::move(sums[0]);
}

}  // namespace

absl::StatusOr<SimilarityTable> AnalyzeSimilarity(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const std::vector<std::vector<std::int32_t>>& texts, const AnalysisOptions& options) {
  return SumOverTexts(config, weights, texts, options,
                      SimilarityTable(config.num_layers, config.num_heads));
}

absl::StatusOr<SimilarityTable> ContinueSimilarity(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const std::vector<std::vector<std::int32_t>>& texts, SimilarityTable begun,
    const AnalysisOptions& options,
    const std::function<absl::Status(const SimilarityTable& so_far)>& after_piece) {
  REPRISE_CHECK(begun.texts() <= static_cast<std::int64_t>(texts.size()));
  const int total = static_cast<int>(texts.size());
  int piece = options.threads;
  while (begun.texts() < total) {
    const int first = static_cast<int>(begun.texts());
    const int size = std::min(piece, total - first);
    AnalysisOptions part = options;
    if (options.progress) {
      part.progress = [&](int done, int) { options.progress(first + done, total); };
    }
    const auto begin = std::chrono::steady_clock::now();
    REPRISE_ASSIGN_OR_RETURN(
        const SimilarityTable table,
        AnalyzeSimilarity(config, weights, {texts.begin() + first, texts.begin() + first + size},
                          part));
    begun.Merge(table);
    REPRISE_RETURN_IF_ERROR(after_piece(begun));
    // Long enough that starting a piece costs nothing, short enough to stop soon when asked to.
    const auto took = std::chrono::steady_clock::now() - begin;
    if (took < std::chrono::milliseconds(700)) piece = 2 * size;
    if (took > std::chrono::milliseconds(1500)) piece = std::max(options.threads, size / 2);
  }
  return begun;
}

absl::StatusOr<OutputErrors> AnalyzeOutputErrors(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const HeadOutputs& outputs, const std::vector<std::vector<std::int32_t>>& texts,
    const AnalysisOptions& options) {
  return SumOverTexts(config, weights, texts, options, OutputErrors(config, outputs));
}

}  // namespace reprise::engine::analysis
