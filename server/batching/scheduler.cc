#include "server/batching/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/batching/guarded_run.h"
#include "server/pipeline/model_outputs.h"
#include "server/request/still_wanted.h"

namespace reprise::server::batching {
namespace {

// A cancellation is a flag that nobody announces: while something is queued we look this often.
constexpr std::chrono::milliseconds kCancellationPoll{10};
constexpr std::chrono::seconds kHeartbeat{1};

absl::Status ShuttingDown() { return absl::UnavailableError("the server is shutting down"); }

}  // namespace

Scheduler::Scheduler(SchedulerConfig config, std::vector<std::unique_ptr<BatchRunner>> runners,
                     Clock& clock, Observer& observer)
    : config_(std::move(config)),
      runners_(std::move(runners)),
      clock_(clock),
      observer_(observer),
      heartbeat_(clock.Now()),
      queue_(config_.ordering_horizon) {
  REPRISE_CHECK(!runners_.empty());
  for (const auto& runner : runners_) {
    threads_.emplace_back([this, &runner = *runner] { Work(runner); });
  }
  threads_.emplace_back([this] { SweepWhileBusy(); });
}

Scheduler::~Scheduler() { Shutdown(); }

void Scheduler::Submit(std::unique_ptr<BatchRequest> request) {
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      queue_.Insert(std::move(request));
      // An idle worker sweeps as well; waking the other thread too would only cost.
      (idle_workers_ > 0 ? work_ : sweep_).notify_one();
      return;
    }
  }
  Answer(std::move(request), ShuttingDown(), RefusalReason::kDraining);
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
    refused = queue_.TakeAll();
    work_.notify_all();
    sweep_.notify_all();
  }
  for (auto& request : refused)
    Answer(std::move(request), ShuttingDown(), RefusalReason::kDraining);
  for (std::thread& thread : threads_) thread.join();
}

// Takes out what DecideBatch says; the time to look again when that is nothing.
SteadyClock::time_point Scheduler::TakeLocked(int idle_executors, Batch* batch) {
  const SteadyClock::time_point now = clock_.Now();
  const QueueSnapshot snapshot{queue_.Look(), idle_executors, draining_};
  const BatchDecision decision = DecideBatch(snapshot, config_.limits, now);
  queue_.CountOvertaken(decision.overtaken);
  RequestQueue::Taken taken = queue_.Take(decision.batch, decision.abandoned);
  batch->requests = std::move(taken.first);
  batch->abandoned = std::move(taken.second);
  batch->closed = decision.closed;
  // Also a wait for nothing but a deadline far away.
  return queue_.empty() ? SteadyClock::time_point::max()
                        : std::min(decision.look_again, now + kCancellationPoll);
}

bool Scheduler::NextBatch(Batch* batch) {
  MutexLock lock(mutex_);
  ++idle_workers_;
  while (!stopping_) {
    const SteadyClock::time_point look_again = TakeLocked(idle_workers_, batch);
    if (!batch->requests.empty() || !batch->abandoned.empty()) break;
    clock_.WaitUntil(work_, lock, look_again);
  }
  --idle_workers_;
  // What is left is for another idle worker, or else only for the sweep.
  if (!queue_.empty()) (idle_workers_ > 0 ? work_ : sweep_).notify_one();
  return !stopping_ || !batch->requests.empty() || !batch->abandoned.empty();
}

void Scheduler::Work(BatchRunner& runner) {
  BatchBuffers buffers(config_.limits.max_rows, config_.limits.max_tokens);
  Batch batch;
  while (NextBatch(&batch)) {
    AnswerAbandoned(std::exchange(batch.abandoned, {}));
    if (!batch.requests.empty()) Run(std::exchange(batch, {}), runner, &buffers);
  }
}

void Scheduler::SweepWhileBusy() {
  while (true) {
    Batch batch;
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      const SteadyClock::time_point look_again = TakeLocked(/*idle_executors=*/0, &batch);
      const SteadyClock::time_point now = clock_.Now();
      heartbeat_.store(now, std::memory_order_relaxed);
      if (batch.abandoned.empty()) {
        clock_.WaitUntil(sweep_, lock,
                         std::min<SteadyClock::time_point>(look_again, now + kHeartbeat));
      }
    }
    AnswerAbandoned(std::move(batch.abandoned));
  }
}

void Scheduler::AnswerAbandoned(BatchRequests requests) const {
  for (auto& request : requests) {
    absl::Status status = StillWanted(*request->request, clock_.Now());
    const RefusalReason reason = RefusalOf(status);
    Answer(std::move(request), std::move(status), reason);
  }
}

void Scheduler::Run(Batch batch, BatchRunner& runner, BatchBuffers* buffers) {
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
  const absl::Status ran = RunGuarded(runner, view, wanted, &outputs);
  const SteadyClock::time_point finished = clock_.Now();
  const std::chrono::nanoseconds compute = finished - formed;

  // Before the answers: a caller that has its answer finds it counted.
  observer_.OnBatchFinished({.model = config_.model,
                             .version = config_.version,
                             .requests = static_cast<std::int64_t>(batch.requests.size()),
                             .rows = view.batch_size(),
                             .tokens = view.total_tokens(),
                             .closed = batch.closed,
                             .form = formed - start,
                             .compute = compute,
                             .report = ran.ok() ? &runner.report() : nullptr});

  std::int64_t first_row = 0;
  std::int64_t first_token = 0;
  for (auto& request : batch.requests) {
    const std::int64_t rows = request->rows.rows();
    const std::int64_t tokens = request->rows.tokens();
    request->request->progress->Reach(&RequestSteps::computed, finished);
    if (!ran.ok()) {
      Answer(std::move(request),
             absl::Status(absl::IsResourceExhausted(ran) ? ran.code() : absl::StatusCode::kInternal,
                          absl::StrCat("the engine could not run the batch: ", ran.message())));
    } else if (request->request->cancellation->cancelled()) {
      Answer(std::move(request), absl::CancelledError("the caller cancelled the request"));
    } else {
      InferenceReply reply;
      reply.model_name = config_.model;
      reply.model_version = config_.version;
      reply.id = request->request->id;
      const SteadyClock::time_point unpack = clock_.Now();
      reply.outputs =
          pipeline::TakeOutputs(request->wanted, request->rows, outputs, first_row, first_token);
      reply.timing = {.tokenize = request->tokenize,
                      .queue = start - request->queued - request->tokenize,
                      .form = formed - start,
                      .compute = compute,
                      .unpack = clock_.Now() - unpack,
                      .batch_rows = view.batch_size(),
                      .batch_tokens = view.total_tokens()};
      reply.rows = rows;
      reply.tokens = tokens;
      Answer(std::move(request), std::move(reply));
    }
    first_row += rows;
    first_token += tokens;
  }
}

}  // namespace reprise::server::batching
