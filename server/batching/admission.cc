#include "server/batching/admission.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::batching {
namespace {

// One line per bound: where it is kept, its option, its label.
struct Bound {
  std::int64_t QueueDepth::*amount;
  const char* noun;
  const char* option;
  RefusalReason reason;
};
constexpr Bound kBounds[] = {
    {&QueueDepth::requests, "requests", "max_queue_requests", RefusalReason::kQueueRequests},
    {&QueueDepth::rows, "rows", "max_queue_rows", RefusalReason::kQueueRows},
    {&QueueDepth::tokens, "tokens", "max_queue_tokens", RefusalReason::kQueueTokens},
    {&QueueDepth::bytes, "bytes", "max_queue_bytes", RefusalReason::kQueueBytes},
    {&QueueDepth::score_bytes, "score bytes", "max_queue_score_bytes",
     RefusalReason::kQueueScoreBytes},
};

void Add(const QueueDepth& cost, QueueDepth* depth) {
  for (const Bound& bound : kBounds) depth->*bound.amount += cost.*bound.amount;
}

void Subtract(const QueueDepth& cost, QueueDepth* depth) {
  for (const Bound& bound : kBounds) {
    depth->*bound.amount -= cost.*bound.amount;
    REPRISE_CHECK(depth->*bound.amount >= 0);
  }
}

}  // namespace

Verdict Admit(const QueueDepth& bounds, const QueueDepth& depth, const QueueDepth& cost) {
  for (const Bound& bound : kBounds) {
    const std::int64_t limit = bounds.*bound.amount;
    const std::int64_t held = depth.*bound.amount;
    const std::int64_t more = cost.*bound.amount;
    if (more > limit) {
      return {absl::InvalidArgumentError(absl::StrCat(
                  "the request has ", more, " ", bound.noun, "; the queue holds at most ", limit,
                  " (", bound.option, "). Send it in several requests")),
              RefusalReason::kTooLarge};
    }
    if (held > limit - more) {
      return {absl::ResourceExhaustedError(absl::StrCat(
                  "the queue is full: it holds ", held, " of ", limit, " ", bound.noun, " (",
                  bound.option, ") and the request has ", more, ". Try again later")),
              bound.reason};
    }
  }
  return {};
}

QueueLedger::QueueLedger(std::string model, std::string version, QueueDepth bounds,
                         Observer& observer)
    : model_(std::move(model)),
      version_(std::move(version)),
      bounds_(bounds),
      observer_(observer) {}

Verdict QueueLedger::AddLocked(const QueueDepth& cost) {
  Verdict verdict = Admit(bounds_, depth_, cost);
  if (verdict.ok()) {
    Add(cost, &depth_);
    observer_.OnQueueDepth(model_, version_, depth_);
  }
  return verdict;
}

Verdict QueueLedger::Enter(const QueueDepth& cost, QueueTicket* ticket) {
  REPRISE_CHECK(ticket->ledger_ == nullptr);
  MutexLock lock(mutex_);
  Verdict verdict = AddLocked(cost);
  if (verdict.ok()) {
    ticket->ledger_ = this;
    ticket->cost_ = cost;
    observer_.OnInflight(model_, version_, ++inflight_);
  }
  return verdict;
}

Verdict QueueLedger::Grow(const QueueDepth& cost) {
  MutexLock lock(mutex_);
  return AddLocked(cost);
}

void QueueLedger::Leave(const QueueDepth& cost) {
  MutexLock lock(mutex_);
  Subtract(cost, &depth_);
  observer_.OnQueueDepth(model_, version_, depth_);
}

void QueueLedger::End() {
  MutexLock lock(mutex_);
  observer_.OnInflight(model_, version_, --inflight_);
  // Under the lock: whoever waits may destroy this as soon as it is released.
  if (inflight_ == 0) idle_.notify_all();
}

QueueDepth QueueLedger::depth() const {
  MutexLock lock(mutex_);
  return depth_;
}

std::int64_t QueueLedger::inflight() const {
  MutexLock lock(mutex_);
  return inflight_;
}

bool QueueLedger::AwaitIdle(Clock& clock, SteadyClock::time_point deadline) {
  MutexLock lock(mutex_);
  while (inflight_ > 0 && clock.Now() < deadline) clock.WaitUntil(idle_, lock, deadline);
  return inflight_ == 0;
}

QueueTicket::~QueueTicket() {
  if (ledger_ == nullptr) return;
  LeaveQueue();
  ledger_->End();
}

QueueTicket::QueueTicket(QueueTicket&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)), cost_(std::exchange(other.cost_, {})) {}

QueueTicket& QueueTicket::operator=(QueueTicket&& other) noexcept {
  std::swap(ledger_, other.ledger_);
  std::swap(cost_, other.cost_);
  return *this;
}

Verdict QueueTicket::Grow(const QueueDepth& cost) {
  REPRISE_CHECK(ledger_ != nullptr && cost_.requests > 0);
  Verdict verdict = ledger_->Grow(cost);
  if (verdict.ok()) Add(cost, &cost_);
  return verdict;
}

void QueueTicket::LeaveQueue() {
  if (ledger_ == nullptr || cost_.requests == 0) return;
  ledger_->Leave(std::exchange(cost_, {}));
}

}  // namespace reprise::server::batching
