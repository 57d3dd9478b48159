#include "engine/analysis/text_workers.h"

#include <algorithm>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

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

absl::Status CheckTexts(const architectures::BertConfig& config, const Texts& texts) {
  if (texts.empty()) return absl::InvalidArgumentError("there is no text to analyse");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    REPRISE_RETURN_IF_ERROR(CheckText(texts[i], config, i));
  }
  return absl::OkStatus();
}

// Beyond so many rows a matrix product gets no faster.
constexpr std::int64_t kBatchTokens = 256;

std::vector<TextBatch> Batches(const Texts& texts) {
  std::vector<TextBatch> batches;
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const std::vector<std::int32_t>& ids = texts[text];
    if (batches.empty() ||
        batches.back().ids.size() + ids.size() > static_cast<std::size_t>(kBatchTokens)) {
      batches.push_back({.number = batches.size(), .first_text = text, .ids = {}});
    }
    TextBatch& batch = batches.back();
    batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
    batch.cu_seqlens.push_back(static_cast<std::int32_t>(batch.ids.size()));
  }
  return batches;
}

ScoreCapture::Limits LimitsOf(const Texts& texts) {
  std::size_t longest = 0;
  for (const auto& text : texts) longest = std::max(longest, text.size());
  return {static_cast<std::int64_t>(longest), kBatchTokens};
}

}  // namespace

absl::StatusOr<std::unique_ptr<TextWorkers>> TextWorkers::Create(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const Texts& texts, int threads) {
  REPRISE_CHECK(threads >= 1);
  REPRISE_RETURN_IF_ERROR(CheckTexts(config, texts));
  std::unique_ptr<TextWorkers> workers(new TextWorkers(threads));
  workers->batches_ = Batches(texts);
  for (int worker = 0; worker < workers->size(); ++worker) {
    REPRISE_ASSIGN_OR_RETURN(std::unique_ptr<ScoreCapture> capture,
                             ScoreCapture::Create(config, weights, LimitsOf(texts)));
    workers->captures_.push_back(std::move(capture));
  }
  return workers;
}

std::int64_t TextWorkers::BytesFor(const architectures::BertConfig& config, const Texts& texts,
                                   int threads) {
  return threads * ScoreCapture::BytesFor(config, LimitsOf(texts));
}

void TextWorkers::ForEach(const Run& run, const std::function<void()>& progress) {
  std::mutex mutex;
  team_.ParallelFor(static_cast<std::int64_t>(batches_.size()), [&](std::int64_t i, int worker) {
    const TextBatch& batch = batches_[i];
    run(*captures_[worker], batch, worker);
    if (!progress) return;
    const std::lock_guard lock(mutex);
    for (std::size_t text = 0; text < batch.num_texts(); ++text) progress();
  });
}

}  // namespace reprise::engine::analysis
