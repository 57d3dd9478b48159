#include "server/grpc/model_report.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_cost.h"
#include "engine/check.h"
#include "engine/model.h"

namespace reprise::server::grpc {
namespace {

using engine::architectures::BertConfig;
using engine::architectures::Pooling;

constexpr std::size_t kMaxLengths = 64;

v1::ModelShape ToShape(const ModelDescription& description) {
  const engine::Model& model = *description.model;
  const BertConfig& config = model.config();
  v1::ModelShape shape;
  shape.set_platform(description.platform);
  shape.set_num_layers(config.num_layers);
  shape.set_num_heads(config.num_heads);
  shape.set_hidden_size(config.hidden_size);
  shape.set_intermediate_size(config.intermediate_size);
  shape.set_vocab_size(config.vocab_size);
  shape.set_max_position_embeddings(config.max_position_embeddings);
  if (config.pooling != Pooling::kNone) {
    shape.set_pooling(config.pooling == Pooling::kMean ? "mean" : "cls");
  }
  shape.set_normalize(config.normalize);
  shape.mutable_labels()->Add(description.labels.begin(), description.labels.end());
  shape.set_precision(std::string(engine::Name(model.precision())));
  shape.set_parameters(model.parameter_count());
  shape.set_parameter_bytes(model.parameter_bytes());
  return shape;
}

absl::StatusOr<std::vector<std::int64_t>> LengthsToPredict(std::span<const std::int64_t> asked,
                                                           std::int64_t limit) {
  if (asked.empty()) {
    std::vector<std::int64_t> lengths;
    for (const std::int64_t length : {std::int64_t{128}, std::int64_t{512}}) {
      if (length < limit) lengths.push_back(length);
    }
    lengths.push_back(limit);
    return lengths;
  }
  if (asked.size() > kMaxLengths) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", asked.size(), " sequence_lengths, expected at most ", kMaxLengths));
  }
  for (const std::int64_t length : asked) {
    if (length < 1 || length > limit) {
      return absl::InvalidArgumentError(absl::StrCat("sequence_lengths: found ", length,
                                                     ", expected 1 to ", limit, " for this model"));
    }
  }
  return std::vector<std::int64_t>(asked.begin(), asked.end());
}

}  // namespace

v1::Limits ToLimits(const ModelLimits& limits) {
  v1::Limits message;
  // Absent means no limit, so a limit of 0 is not written.
  const auto set = [&message](void (v1::Limits::*setter)(std::int64_t), std::int64_t limit) {
    if (limit > 0) (message.*setter)(limit);
  };
  set(&v1::Limits::set_max_batch_size, limits.max_batch_size);
  set(&v1::Limits::set_max_batch_tokens, limits.max_batch_tokens);
  set(&v1::Limits::set_max_batch_score_bytes, limits.max_batch_score_bytes);
  set(&v1::Limits::set_max_sequence_tokens, limits.max_sequence_tokens);
  set(&v1::Limits::set_max_text_tokens, limits.max_text_tokens);
  set(&v1::Limits::set_max_queue_requests, limits.max_queue_requests);
  set(&v1::Limits::set_max_queue_rows, limits.max_queue_rows);
  set(&v1::Limits::set_max_queue_tokens, limits.max_queue_tokens);
  set(&v1::Limits::set_max_queue_bytes, limits.max_queue_bytes);
  set(&v1::Limits::set_max_queue_score_bytes, limits.max_queue_score_bytes);
  message.set_max_queue_delay_us(limits.max_queue_delay_us);
  message.set_executors(limits.executors);
  message.set_threads(limits.threads);
  return message;
}

v1::ReuseMap ToReuseMap(const engine::reuse::ReusePlan& plan) {
  v1::ReuseMap map;
  map.set_plan(plan.name());
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    v1::LayerSources* row = map.add_layers();
    row->set_has_attention(plan.has_attention(layer));
    if (!plan.has_attention(layer)) continue;
    for (int head = 0; head < plan.num_heads(); ++head) {
      const engine::reuse::HeadRef source = plan.source(layer, head);
      v1::HeadSource* cell = row->add_heads();
      cell->set_layer(source.layer);
      cell->set_head(source.head);
    }
  }
  for (const engine::reuse::LayerRange& range : plan.groups()) {
    v1::LayerGroup* group = map.add_groups();
    group->set_first_layer(range.first);
    group->set_last_layer(range.last);
  }
  map.set_score_slots(plan.num_score_slots());
  map.set_reused_heads(plan.num_reused_heads());
  return map;
}

v1::PredictedSavings ToPredictedSavings(const engine::reuse::PlanSavings& savings,
                                        std::int64_t sequence_length) {
  v1::PredictedSavings message;
  message.set_sequence_length(sequence_length);
  message.set_scores_computed(savings.scores.computed);
  message.set_scores_reused(savings.scores.reused);
  message.set_scores_recomputed(savings.scores.recomputed);
  message.set_scores_exact(savings.scores.total());
  message.set_multiply_adds(savings.multiply_adds.total());
  message.set_multiply_adds_exact(savings.exact_multiply_adds.total());
  message.set_parameter_bytes_saved(savings.memory_saved.parameters);
  message.set_score_cache_bytes(savings.score_bytes);
  return message;
}

absl::StatusOr<v1::DescribeModelResponse> DescribeModel(
    const ModelDescription& description, std::span<const std::int64_t> sequence_lengths) {
  const engine::Model& model = *description.model;
  REPRISE_ASSIGN_OR_RETURN(
      const std::vector<std::int64_t> lengths,
      LengthsToPredict(sequence_lengths, description.limits.max_sequence_tokens));
  v1::DescribeModelResponse message;
  message.set_model(description.name);
  message.set_version(description.version);
  message.mutable_versions()->Add(description.versions.begin(), description.versions.end());
  *message.mutable_shape() = ToShape(description);
  *message.mutable_limits() = ToLimits(description.limits);
  *message.mutable_reuse() = ToReuseMap(model.plan());
  message.mutable_reuse()->set_strategy(description.strategy);

  const engine::reuse::TransformerShape shape =
      engine::architectures::CostShape(model.config(), model.has_pooler(), model.num_labels());
  engine::reuse::Storage storage;
  storage.weight_bytes = storage.activation_bytes = storage.score_bytes =
      static_cast<int>(engine::SizeOf(engine::ElementType(model.precision())));
  storage.scores_stored = description.strategy != "fused";
  for (const std::int64_t length : lengths) {
    REPRISE_RETURN_IF_ERROR(engine::reuse::CheckCostInput(shape, model.plan(), {.source = length}));
    *message.add_savings() = ToPredictedSavings(
        engine::reuse::Predict(shape, model.plan(), {.source = length}, storage), length);
  }
  return message;
}

}  // namespace reprise::server::grpc
