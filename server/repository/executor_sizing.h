// How large a model's batches may be, how many threads and how much memory its executors get.
#pragma once

#include "engine/architectures/bert_config.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "server/repository/serving_options.h"
#include "server/request/serving_core.h"

namespace reprise::server::repository {

// The limits that hold for a model of this config: max_batch_tokens with its 0 resolved, sequences
// no longer than a batch, threads with its 0 resolved from `cores` (>= 1) as cores / executors, at
// least 1.
ModelLimits SizeLimits(const ModelServingOptions& options,
                       const engine::architectures::BertConfig& config, int cores);

// Executors are made for exactly the largest batch that the batcher may form.
engine::ExecutorOptions SizeExecutor(const ModelServingOptions& options, const ModelLimits& limits);

// Bytes of the attention scores of a sequence of one token: times length^2 it is what a sequence
// counts against the score budgets. Matrices alive at once (the number of heads, for the layouts of
// the paper) times bytes per score.
std::int64_t ScoreBytesPerSquare(const engine::reuse::ReusePlan& plan, engine::Precision precision,
                                 engine::ScoreFormat format);

}  // namespace reprise::server::repository
