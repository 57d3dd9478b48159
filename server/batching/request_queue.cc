#include "server/batching/request_queue.h"

#include <algorithm>
#include <utility>

namespace reprise::server::batching {
namespace {

QueuedItem Summary(const BatchRequest& request) {
  return {.rows = request.rows.rows(),
          .tokens = request.rows.tokens(),
          .score_bytes = request.score_bytes,
          .queued = request.queued,
          .deadline = request.request->deadline};
}

BatchRequests MoveOut(std::span<const std::size_t> indices, BatchRequests* requests) {
  BatchRequests taken;
  taken.reserve(indices.size());
  for (const std::size_t index : indices) taken.push_back(std::move((*requests)[index]));
  return taken;
}

}  // namespace

void RequestQueue::Insert(std::unique_ptr<BatchRequest> request) {
  const QueuedItem item = Summary(*request);
  // Nearly always the end: requests arrive about in the order of their keys.
  const auto place = std::upper_bound(items_.begin(), items_.end(), item,
                                      [this](const QueuedItem& a, const QueuedItem& b) {
                                        return OrderKey(a, horizon_) < OrderKey(b, horizon_);
                                      });
  requests_.insert(requests_.begin() + (place - items_.begin()), std::move(request));
  items_.insert(place, item);
}

std::span<const QueuedItem> RequestQueue::Look() {
  for (std::size_t i = 0; i < items_.size(); ++i) {
    items_[i].cancelled = requests_[i]->request->cancellation->cancelled();
  }
  return items_;
}

void RequestQueue::CountOvertaken(std::span<const std::size_t> indices) {
  for (const std::size_t index : indices) ++items_[index].overtaken;
}

RequestQueue::Taken RequestQueue::Take(std::span<const std::size_t> first,
                                       std::span<const std::size_t> second) {
  Taken taken{MoveOut(first, &requests_), MoveOut(second, &requests_)};
  std::size_t kept = 0;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] == nullptr) continue;
    if (kept != i) {
      requests_[kept] = std::move(requests_[i]);
      items_[kept] = items_[i];
    }
    ++kept;
  }
  requests_.resize(kept);
  items_.resize(kept);
  return taken;
}

BatchRequests RequestQueue::TakeAll() {
  items_.clear();
  return std::exchange(requests_, {});
}

}  // namespace reprise::server::batching
