// Runs texts through a model on several threads, in batches, each on one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/score_capture.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"
#include "engine/device/cpu/thread_team.h"

namespace reprise::engine::analysis {

using Texts = std::vector<std::vector<std::int32_t>>;  // token ids

// Consecutive texts that are run side by side: matrix products of few rows are slow.
struct TextBatch {
  std::size_t number = 0;      // among all batches
  std::size_t first_text = 0;  // its place among all texts
  std::vector<std::int32_t> cu_seqlens = {0};
  std::vector<std::int32_t> ids;

  std::size_t num_texts() const { return cu_seqlens.size() - 1; }
};

class TextWorkers {
 public:
  // Config and weights must outlive it. InvalidArgument for no text, an empty one, one
  // longer than the model's positions or an id outside its vocabulary, and for a model that
  // ScoreCapture does not take; ResourceExhausted without memory. `weights` as packed in fp32.
  static absl::StatusOr<std::unique_ptr<TextWorkers>> Create(
      const architectures::BertConfig& config, const architectures::BertWeights& weights,
      const Texts& texts, int threads);

  int size() const { return team_.size(); }  // threads

  std::size_t num_batches() const { return batches_.size(); }

  // Calls run(capture, batch, worker) once for each batch, with the number of the thread, whose
  // capture it is; and progress(), if not empty, once for each of its texts after that, one call at
  // a time.
  using Run = std::function<void(ScoreCapture& capture, const TextBatch& batch, int worker)>;
  void ForEach(const Run& run, const std::function<void()>& progress = {});

  // What Create takes beside the weights.
  static std::int64_t BytesFor(const architectures::BertConfig& config, const Texts& texts,
                               int threads);

 private:
  explicit TextWorkers(int threads) : team_({.threads = threads}) {}

  std::vector<TextBatch> batches_;
  device::ThreadTeam team_;
  std::vector<std::unique_ptr<ScoreCapture>> captures_;
};

}  // namespace reprise::engine::analysis
