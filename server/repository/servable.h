// One loaded version of a model, from a request's tensors to its reply.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "server/batching/admission.h"
#include "server/batching/batch_runner.h"
#include "server/batching/scheduler.h"
#include "server/pipeline/model_inputs.h"
#include "server/pipeline/model_outputs.h"
#include "server/pipeline/text_tokenizer.h"
#include "server/pipeline/tokenizer/tokenizer.h"
#include "server/request/clock.h"
#include "server/request/observer.h"
#include "server/request/serving_core.h"

namespace reprise::server::repository {

// All that loading produces. The limits are those of `description`.
struct ServableParts {
  ModelDescription description;
  pipeline::OutputRules outputs;
  std::int64_t vocab_size = 0;
  std::int64_t type_vocab_size = 0;
  std::int64_t max_text_bytes = 0;
  std::int64_t score_bytes_per_square = 0;  // of a sequence of one token
  batching::BatchingOptions batching;       // what the limits do not say
  batching::BatchTimes times;               // measured while warming up
  int tokenizer_threads = 1;
  std::unique_ptr<pipeline::Tokenizer> tokenizer;  // null: no text, unless `encode` is set
  pipeline::EncodeText encode;                     // by default `tokenizer`
  std::vector<std::unique_ptr<batching::BatchRunner>> runners;  // one per executor
};

pipeline::InputRules InputRulesOf(const ServableParts& parts);

// Checks, admits, tokenizes and queues requests; its scheduler runs and answers them. Thread-safe.
class Servable {
 public:
  // `clock` and `observer` must outlive this.
  Servable(ServableParts parts, Clock& clock, Observer& observer);
  ~Servable();  // Shutdown
  Servable(const Servable&) = delete;
  Servable& operator=(const Servable&) = delete;

  // request->done is called exactly once, possibly before this returns.
  void Infer(std::unique_ptr<InferenceRequest> request);

  const ModelDescription& description() const { return description_; }
  void Flush() { scheduler_.Flush(); }  // batches no longer wait for company
  // Whether nothing is in flight by `deadline`; waits until then.
  bool AwaitIdle(SteadyClock::time_point deadline) { return ledger_.AwaitIdle(clock_, deadline); }
  // Waiting requests are answered with Unavailable, running ones are finished. Idempotent.
  void Shutdown();
  SteadyClock::time_point heartbeat() const { return scheduler_.heartbeat(); }

 private:
  using Pending = std::unique_ptr<batching::BatchRequest>;

  batching::Verdict Prepare(batching::BatchRequest* pending, pipeline::NamedInputs* inputs) const;
  void InferIds(Pending pending, const pipeline::NamedInputs& inputs, QueueDepth cost);
  void InferText(Pending pending, const pipeline::NamedInputs& inputs, QueueDepth cost);
  void EnterTokenized(Pending pending);
  void Queue(Pending pending);
  void Refuse(Pending pending, batching::Verdict verdict);
  std::int64_t ScoreBytes(const pipeline::PackedRows& rows) const;

  const ModelDescription description_;
  const pipeline::InputRules input_rules_;
  const pipeline::OutputRules output_rules_;
  const std::int64_t score_bytes_per_square_;
  const std::unique_ptr<pipeline::Tokenizer> tokenizer_;
  Clock& clock_;
  Observer& observer_;
  batching::QueueLedger ledger_;
  batching::Scheduler scheduler_;
  std::unique_ptr<pipeline::TextTokenizer> text_tokenizer_;  // null: no text
};

}  // namespace reprise::server::repository
