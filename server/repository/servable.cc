#include "server/repository/servable.h"

#include <algorithm>
#include <utility>

#include "engine/check.h"
#include "server/batching/batch_request.h"
#include "server/request/guarded.h"
#include "server/request/retry_hint.h"
#include "server/request/still_wanted.h"

namespace reprise::server::repository {
namespace {

using batching::Answer;
using batching::BatchRequest;
using batching::Verdict;

QueueDepth QueueBounds(const ModelLimits& limits) {
  return {.requests = limits.max_queue_requests,
          .rows = limits.max_queue_rows,
          .tokens = limits.max_queue_tokens,
          .bytes = limits.max_queue_bytes,
          .score_bytes = limits.max_queue_score_bytes};
}

batching::SchedulerConfig MakeSchedulerConfig(const ServableParts& parts) {
  return {.model = parts.description.name,
          .version = parts.description.version,
          .rules = batching::MakePlannerRules(parts.description.limits, parts.batching),
          .times = parts.times};
}

// The deadline of a request that arrived then and brought `deadline`.
SteadyClock::time_point Tightest(SteadyClock::time_point deadline, SteadyClock::time_point arrival,
                                 std::chrono::microseconds queue_timeout) {
  return queue_timeout.count() > 0 ? std::min(deadline, arrival + queue_timeout) : deadline;
}

// What could not be turned into rows of ids, and `why`.
void AnswerWithoutRows(std::unique_ptr<BatchRequest> pending, const absl::Status& why) {
  const RefusalReason reason = absl::IsInvalidArgument(why) ? RefusalReason::kInvalid
                               : absl::IsUnavailable(why)   ? RefusalReason::kDraining
                                                            : RefusalOf(why);
  Answer(std::move(pending), why, reason);
}

Verdict Invalid(absl::Status status) { return {std::move(status), RefusalReason::kInvalid}; }

}  // namespace

pipeline::InputRules InputRulesOf(const ServableParts& parts) {
  const ModelLimits& limits = parts.description.limits;
  return {.model_name = parts.description.name,
          .vocab_size = parts.vocab_size,
          .type_vocab_size = parts.type_vocab_size,
          .max_sequence_tokens = limits.max_sequence_tokens,
          .max_text_tokens = limits.max_text_tokens,
          .max_text_bytes = parts.max_text_bytes,
          .max_batch_size = limits.max_batch_size,
          .max_batch_tokens = limits.max_batch_tokens,
          .accepts_text = parts.tokenizer != nullptr || parts.encode};
}

Servable::Servable(ServableParts parts, Clock& clock, Observer& observer)
    : description_(parts.description),
      input_rules_(InputRulesOf(parts)),
      output_rules_(parts.outputs),
      score_bytes_per_square_(parts.score_bytes_per_square),
      tokenizer_(std::move(parts.tokenizer)),
      clock_(clock),
      observer_(observer),
      ledger_(description_.name, description_.version, QueueBounds(description_.limits), observer),
      scheduler_(MakeSchedulerConfig(parts), std::move(parts.runners), clock, observer) {
  if (!input_rules_.accepts_text) return;
  text_tokenizer_ = std::make_unique<pipeline::TextTokenizer>(
      input_rules_, parts.encode ? std::move(parts.encode) : pipeline::EncodeWith(*tokenizer_),
      parts.tokenizer_threads, clock);
}

Servable::~Servable() { Shutdown(); }

void Servable::Shutdown() {
  // In the order a request travels, so that what the tokenizer still lets go finds a scheduler.
  if (text_tokenizer_ != nullptr) text_tokenizer_->Shutdown();
  scheduler_.Shutdown();
}

void Servable::Infer(std::unique_ptr<InferenceRequest> request) {
  request->deadline = Tightest(request->deadline, request->arrival,
                               std::chrono::microseconds(description_.limits.queue_timeout_us));
  auto pending = std::make_unique<BatchRequest>();
  pending->request = std::move(request);
  pending->request->progress->Found(description_.version);
  pipeline::NamedInputs inputs;
  if (Verdict verdict = Prepare(pending.get(), &inputs); !verdict.ok()) {
    Answer(std::move(pending), std::move(verdict.status), verdict.reason);
    return;
  }
  const QueueDepth cost{
      .requests = 1, .rows = inputs.rows, .bytes = pipeline::ByteSize(pending->request->inputs)};
  if (inputs.text != nullptr) {
    InferText(std::move(pending), inputs, cost);
  } else {
    InferIds(std::move(pending), inputs, cost);
  }
}

// Whatever can be said without reading the inputs' values.
Verdict Servable::Prepare(BatchRequest* pending, pipeline::NamedInputs* inputs) const {
  const InferenceRequest& request = *pending->request;
  absl::StatusOr<pipeline::NamedInputs> named = pipeline::NameInputs(request.inputs, input_rules_);
  if (!named.ok()) return Invalid(named.status());
  *inputs = *named;
  absl::StatusOr<pipeline::WantedOutputs> wanted =
      pipeline::ChooseOutputs(request.output_names, inputs->text != nullptr, output_rules_);
  if (!wanted.ok()) return Invalid(wanted.status());
  pending->wanted = *std::move(wanted);
  absl::Status abandoned = StillWanted(request, clock_.Now());
  const RefusalReason reason = RefusalOf(abandoned);
  return {std::move(abandoned), reason};
}

void Servable::InferIds(Pending pending, const pipeline::NamedInputs& inputs, QueueDepth cost) {
  absl::StatusOr<pipeline::PackedRows> rows =
      Guarded("the ids", [&] { return pipeline::PackIds(inputs, input_rules_); });
  if (!rows.ok()) return AnswerWithoutRows(std::move(pending), rows.status());
  pending->rows = *std::move(rows);
  pending->score_bytes = ScoreBytes(pending->rows);
  cost.tokens = pending->rows.tokens();
  cost.score_bytes = pending->score_bytes;
  pending->queued = clock_.Now();
  Verdict verdict = ledger_.Enter(cost, &pending->ticket);
  if (!verdict.ok()) return Refuse(std::move(pending), std::move(verdict));
  pending->request->progress->Reach(&RequestSteps::queued, pending->queued);
  Queue(std::move(pending));
}

void Servable::InferText(Pending pending, const pipeline::NamedInputs& inputs, QueueDepth cost) {
  pending->queued = clock_.Now();
  Verdict verdict = ledger_.Enter(cost, &pending->ticket);
  if (!verdict.ok()) return Refuse(std::move(pending), std::move(verdict));
  pending->request->progress->Reach(&RequestSteps::queued, pending->queued);
  pipeline::TokenizeJob job;
  job.text_input = inputs.text - pending->request->inputs.data();
  job.request = std::move(pending->request);
  job.done = [this, pending = std::move(pending)](std::unique_ptr<InferenceRequest> request,
                                                  absl::StatusOr<pipeline::PackedRows> rows,
                                                  std::chrono::nanoseconds spent) mutable {
    pending->request = std::move(request);
    pending->tokenize = spent;
    if (rows.ok()) {
      pending->rows = *std::move(rows);
      pending->request->progress->Reach(&RequestSteps::tokenized, clock_.Now());
      EnterTokenized(std::move(pending));
      return;
    }
    AnswerWithoutRows(std::move(pending), rows.status());
  };
  text_tokenizer_->Submit(std::move(job));
}

// Only now are a text's tokens known, and with them the rest of what it costs.
void Servable::EnterTokenized(Pending pending) {
  pending->score_bytes = ScoreBytes(pending->rows);
  Verdict verdict =
      pending->ticket.Grow({.tokens = pending->rows.tokens(), .score_bytes = pending->score_bytes});
  if (!verdict.ok()) return Refuse(std::move(pending), std::move(verdict));
  Queue(std::move(pending));
}

void Servable::Queue(Pending pending) {
  const pipeline::PackedRows& rows = pending->rows;
  const absl::StatusOr<std::int64_t> reply_bytes =
      pipeline::ReplyBytes(pending->wanted, rows.rows(), rows.padded_len, output_rules_);
  if (!reply_bytes.ok()) {
    return Answer(std::move(pending), reply_bytes.status(), RefusalReason::kInvalid);
  }
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    observer_.OnSequence(description_.name, description_.version, rows.row_len(row));
  }
  pending->request->inputs.clear();
  scheduler_.Submit(std::move(pending));
}

// A full queue says when there may be room.
void Servable::Refuse(Pending pending, Verdict verdict) {
  if (absl::IsResourceExhausted(verdict.status)) {
    verdict.status = WithRetryHint(std::move(verdict.status), scheduler_.PredictedRoom());
  }
  Answer(std::move(pending), std::move(verdict.status), verdict.reason);
}

std::int64_t Servable::ScoreBytes(const pipeline::PackedRows& rows) const {
  return batching::ScoreBytes(rows, score_bytes_per_square_);
}

}  // namespace reprise::server::repository
