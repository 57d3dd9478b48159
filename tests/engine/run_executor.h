// Runs texts through an executor and copies out what it answers, one text at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "gtest/gtest.h"
#include "tests/reference/bert.h"
#include "tests/reference/checkpoint_writer.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine {

// What the executor said about one sequence; a vector is empty when the model has no such output.
struct Answer {
  std::vector<float> last_hidden_state;  // [seq_len, hidden_size]
  std::vector<float> sentence_embedding;
  std::vector<float> pooler_output;
  std::vector<float> logits;
  bool operator==(const Answer&) const = default;
};

// The model that the engine reads from the checkpoint that the reference writes; null after a
// failed assertion.
inline std::shared_ptr<const Model> LoadFromCheckpoint(
    const reference::BertModel& model, Precision precision,
    const reference::CheckpointOptions& checkpoint = {}, DeviceId device = {}) {
  const testing::TemporaryDirectory scratch;
  reference::WriteCheckpoint(scratch.path(), model, checkpoint);
  absl::StatusOr<std::shared_ptr<const Model>> loaded =
      Model::Load(scratch.path(), ModelOptions{precision, device});
  EXPECT_OK(loaded);
  return loaded.ok() ? *loaded : nullptr;
}

inline std::unique_ptr<Executor> MakeExecutor(std::shared_ptr<const Model> model,
                                              const ExecutorOptions& options) {
  absl::StatusOr<std::unique_ptr<Executor>> executor = Executor::Create(std::move(model), options);
  EXPECT_OK(executor);
  return executor.ok() ? *std::move(executor) : nullptr;
}

// One ragged batch of `sequences`, every output that the model has.
inline std::vector<Answer> AnswersOf(Executor& executor,
                                     const std::vector<reference::Sequence>& sequences) {
  std::vector<std::int32_t> cu_seqlens = {0};
  std::vector<std::int32_t> input_ids, token_type_ids, position_ids;
  for (const reference::Sequence& sequence : sequences) {
    input_ids.insert(input_ids.end(), sequence.ids.begin(), sequence.ids.end());
    token_type_ids.insert(token_type_ids.end(), sequence.type_ids.begin(), sequence.type_ids.end());
    position_ids.insert(position_ids.end(), sequence.position_ids.begin(),
                        sequence.position_ids.end());
    cu_seqlens.push_back(static_cast<std::int32_t>(input_ids.size()));
  }

  const Model& model = executor.model();
  OutputSet wanted;
  wanted.last_hidden_state = true;
  wanted.sentence_embedding = model.config().pooling != architectures::Pooling::kNone;
  wanted.pooler_output = model.has_pooler();
  wanted.logits = model.num_labels() > 0;
  Outputs outputs;
  EXPECT_OK(executor.Run({cu_seqlens, input_ids, token_type_ids, position_ids}, wanted, &outputs));

  const auto rows = [](MatrixView<const float> view, std::int64_t first, std::int64_t last) {
    std::vector<float> values;
    if (view.data == nullptr) return values;
    for (std::int64_t row = first; row < last; ++row) {
      values.insert(values.end(), view.row(row), view.row(row) + view.columns);
    }
    return values;
  };
  std::vector<Answer> answers;
  for (std::int64_t index = 0; index < static_cast<std::int64_t>(sequences.size()); ++index) {
    answers.push_back({rows(outputs.last_hidden_state, cu_seqlens[index], cu_seqlens[index + 1]),
                       rows(outputs.sentence_embedding, index, index + 1),
                       rows(outputs.pooler_output, index, index + 1),
                       rows(outputs.logits, index, index + 1)});
  }
  return answers;
}

}  // namespace reprise::engine
