#include "server/batching/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/check.h"
#include "server/pipeline/model_outputs.h"
#include "server/request/guarded.h"
#include "server/request/retry_hint.h"
#include "server/request/still_wanted.h"

namespace reprise::server::batching {
namespace {

constexpr std::chrono::seconds kHeartbeat{1};

absl::Status ShuttingDown() { return absl::UnavailableError("the server is shutting down"); }

absl::Status TooLate(std::chrono::nanoseconds late_by) {
  return WithRetryHint(
      absl::DeadlineExceededError(
          absl::StrCat("refused at once: by the batch times measured so far the answer would come ",
                       absl::FormatDuration(
                           absl::FromChrono(std::chrono::ceil<std::chrono::milliseconds>(late_by))),
                       " after the deadline. Try again later, or with a later deadline")),
      late_by);
}

QueuedItem Summary(const BatchRequest& request, ItemId id) {
  return {.id = id,
          .rows = request.rows.rows(),
          .tokens = request.rows.tokens(),
          .score_bytes = request.score_bytes,
          .queued = request.queued,
          .deadline = request.request->deadline,
          .priority = request.request->priority};
}

// What the requests of a batch hear that could not be run.
absl::Status Failed(const absl::Status& ran) {
  const std::string message = absl::StrCat("the engine could not run the batch: ", ran.message());
  if (!absl::IsResourceExhausted(ran)) return absl::InternalError(message);
  return WithRetryHint(absl::ResourceExhaustedError(message), kUntilMemoryIsFree);
}

}  // namespace

Scheduler::Scheduler(SchedulerConfig config, std::vector<std::unique_ptr<BatchRunner>> runners,
                     Clock& clock, Observer& observer)
    : config_(std::move(config)),
      runners_(std::move(runners)),
      clock_(clock),
      observer_(observer),
      heartbeat_(clock.Now()),
      planner_(config_.rules, static_cast<int>(runners_.size()), config_.times) {
  REPRISE_CHECK(!runners_.empty());
  for (int i = 0; i < static_cast<int>(runners_.size()); ++i) {
    threads_.emplace_back([this, i] { Work(i); });
  }
  threads_.emplace_back([this] { Sweep(); });
}

Scheduler::~Scheduler() { Shutdown(); }

void Scheduler::Submit(std::unique_ptr<BatchRequest> request) {
  const ItemId id = next_id_.fetch_add(1);
  const QueuedItem item = Summary(*request, id);
  // Before the lock, which the listener takes.
  request->request->cancellation->Listen([this, id] { OnCancelled(id); });
  absl::Status refused;
  {
    MutexLock lock(mutex_);
    if (stopping_) {
      refused = ShuttingDown();
    } else if (const auto late_by =
                   planner_.Enter(item, request->request->client_key, clock_.Now())) {
      refused = TooLate(*late_by);
    } else {
      // The announcement may have come before there was anything to take out.
      if (request->request->cancellation->cancelled()) cancelled_.push_back(id);
      waiting_.emplace(id, std::move(request));
      if (idle_workers_ > 0) {
        work_.notify_one();
      } else {
        WakeSweeperLocked();
      }
      return;
    }
  }
  Answer(std::move(request), refused,
         absl::IsUnavailable(refused) ? RefusalReason::kDraining : RefusalReason::kDeadline);
}

void Scheduler::Flush() {
  MutexLock lock(mutex_);
  draining_ = true;
  work_.notify_all();
}

void Scheduler::Shutdown() {
  BatchRequests refused;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    for (auto& [id, request] : waiting_) {
      planner_.Remove(id);
      refused.push_back(std::move(request));
    }
    waiting_.clear();
    work_.notify_all();
    sweep_.notify_all();
  }
  for (auto& request : refused)
    Answer(std::move(request), ShuttingDown(), RefusalReason::kDraining);
  for (std::thread& thread : threads_) thread.join();
}

std::chrono::nanoseconds Scheduler::PredictedRoom() const {
  MutexLock lock(mutex_);
  return planner_.PredictedRoom(clock_.Now());
}

void Scheduler::OnCancelled(ItemId id) {
  MutexLock lock(mutex_);
  cancelled_.push_back(id);
  sweep_.notify_one();
}

// Nobody else looks at deadlines while all workers are busy. A thread that is awake already, or
// wakes early enough by itself, is left alone: under load that is nearly always so.
void Scheduler::WakeSweeperLocked() {
  if (!cancelled_.empty() || planner_.next_deadline() < next_sweep_) sweep_.notify_one();
}

Scheduler::BatchRequests Scheduler::TakeOutLocked(const std::vector<ItemId>& ids) {
  BatchRequests requests;
  requests.reserve(ids.size());
  for (const ItemId id : ids) requests.push_back(std::move(waiting_.extract(id).mapped()));
  return requests;
}

Scheduler::BatchRequests Scheduler::TakeAbandonedLocked() {
  std::vector<ItemId> abandoned = planner_.TakeExpired(clock_.Now());
  for (const ItemId id : std::exchange(cancelled_, {})) {
    if (planner_.Remove(id)) abandoned.push_back(id);
  }
  return TakeOutLocked(abandoned);
}

bool Scheduler::NextBatch(int executor, Batch* batch) {
  MutexLock lock(mutex_);
  planner_.Finished(executor);
  ++idle_workers_;
  while (!stopping_) {
    batch->abandoned = TakeAbandonedLocked();
    const SteadyClock::time_point now = clock_.Now();
    const BatchDecision decision = planner_.TakeBatch(idle_workers_, draining_, now);
    batch->requests = TakeOutLocked(decision.batch);
    batch->tokens = decision.tokens;
    batch->closed = decision.closed;
    if (!batch->requests.empty()) planner_.Started(executor, decision.tokens, now);
    if (!batch->requests.empty() || !batch->abandoned.empty()) break;
    clock_.WaitUntil(work_, lock, std::min(decision.look_again, planner_.next_deadline()));
  }
  --idle_workers_;
  // What is left is for another idle worker, or else only for the sweep.
  if (!planner_.empty()) {
    if (idle_workers_ > 0) {
      work_.notify_one();
    } else {
      WakeSweeperLocked();
    }
  }
  return !batch->requests.empty() || !batch->abandoned.empty() || !stopping_;
}

void Scheduler::Work(int executor) {
  const BatchLimits& limits = config_.rules.limits;
  BatchBuffers buffers(limits.max_rows, limits.max_tokens);
  Batch batch;
  while (NextBatch(executor, &batch)) {
    AnswerAbandoned(std::exchange(batch.abandoned, {}));
    if (!batch.requests.empty()) Run(std::exchange(batch, {}), executor, &buffers);
  }
}

void Scheduler::Sweep() {
  while (true) {
    BatchRequests abandoned;
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      abandoned = TakeAbandonedLocked();
      const SteadyClock::time_point now = clock_.Now();
      heartbeat_.store(now, std::memory_order_relaxed);
      if (abandoned.empty()) {
        next_sweep_ = std::min<SteadyClock::time_point>(planner_.next_deadline(), now + kHeartbeat);
        clock_.WaitUntil(sweep_, lock, next_sweep_);
        next_sweep_ = SteadyClock::time_point::min();
      }
    }
    AnswerAbandoned(std::move(abandoned));
  }
}

void Scheduler::AnswerAbandoned(BatchRequests requests) const {
  for (auto& request : requests) {
    absl::Status status = StillWanted(*request->request, clock_.Now());
    const RefusalReason reason = RefusalOf(status);
    Answer(std::move(request), std::move(status), reason);
  }
}

absl::StatusOr<InferenceReply> Scheduler::ReplyTo(const BatchRequest& request, RequestTiming timing,
                                                  const engine::Outputs& outputs,
                                                  std::int64_t first_row,
                                                  std::int64_t first_token) const {
  const SteadyClock::time_point unpack = clock_.Now();
  InferenceReply reply;
  reply.model_name = config_.model;
  reply.model_version = config_.version;
  reply.id = request.request->id;
  reply.outputs =
      pipeline::TakeOutputs(request.wanted, request.rows, outputs, first_row, first_token);
  timing.tokenize = request.tokenize;
  timing.unpack = clock_.Now() - unpack;
  reply.timing = timing;
  reply.rows = request.rows.rows();
  reply.tokens = request.rows.tokens();
  return reply;
}

void Scheduler::Run(Batch batch, int executor, BatchBuffers* buffers) {
  BatchRunner& runner = *runners_[executor];
  const std::int64_t number = ++batches_;
  const SteadyClock::time_point start = clock_.Now();
  engine::OutputSet wanted;
  buffers->Clear();
  for (const auto& request : batch.requests) {
    request->ticket.LeaveQueue();
    request->request->progress->Join(number, start);
    buffers->Append(request->rows);
    wanted = pipeline::Union(wanted, request->wanted.set);
  }
  const engine::RaggedBatch view = buffers->View();
  const SteadyClock::time_point formed = clock_.Now();
  for (const auto& request : batch.requests) {
    request->request->progress->Reach(&RequestSteps::computing, formed);
  }
  engine::Outputs outputs;
  // A runner that has failed is used again for the next batch.
  const absl::Status ran = Guarded("the batch", [&] { return runner.Run(view, wanted, &outputs); });
  const SteadyClock::time_point finished = clock_.Now();
  const std::chrono::nanoseconds compute = finished - formed;

  std::chrono::nanoseconds predicted_wait{0};
  {
    MutexLock lock(mutex_);
    predicted_wait = planner_.PredictedWait(clock_.Now());
  }
  // Before the answers: a caller that has its answer finds it counted.
  observer_.OnBatchFinished({.model = config_.model,
                             .version = config_.version,
                             .requests = static_cast<std::int64_t>(batch.requests.size()),
                             .rows = view.batch_size(),
                             .tokens = view.total_tokens(),
                             .closed = batch.closed,
                             .form = formed - start,
                             .compute = compute,
                             .predicted_wait = predicted_wait,
                             .report = ran.ok() ? &runner.report() : nullptr});

  const RequestTiming of_batch = {.form = formed - start,
                                  .compute = compute,
                                  .batch_rows = view.batch_size(),
                                  .batch_tokens = view.total_tokens()};
  std::int64_t first_row = 0;
  std::int64_t first_token = 0;
  for (auto& request : batch.requests) {
    const std::int64_t rows = request->rows.rows();
    const std::int64_t tokens = request->rows.tokens();
    request->request->progress->Reach(&RequestSteps::computed, finished);
    if (!ran.ok()) {
      Answer(std::move(request), Failed(ran));
    } else if (request->request->cancellation->cancelled()) {
      Answer(std::move(request), absl::CancelledError("the caller cancelled the request"));
    } else {
      RequestTiming timing = of_batch;
      timing.queue = start - request->queued - request->tokenize;
      absl::StatusOr<InferenceReply> reply = Guarded("the outputs", [&] {
        return ReplyTo(*request, timing, outputs, first_row, first_token);
      });
      Answer(std::move(request), std::move(reply));
    }
    first_row += rows;
    first_token += tokens;
  }
  if (!ran.ok()) return;
  // With the answers: the next batch waits for them too.
  MutexLock lock(mutex_);
  planner_.Learn(batch.tokens, clock_.Now() - start);
}

}  // namespace reprise::server::batching
