// The requests that wait for an executor, in the order they are served.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "server/batching/batch_policy.h"
#include "server/batching/batch_request.h"

namespace reprise::server::batching {

using BatchRequests = std::vector<std::unique_ptr<BatchRequest>>;

// What the policy reads lies side by side, apart from the requests. Not thread-safe.
class RequestQueue {
 public:
  explicit RequestQueue(std::chrono::nanoseconds ordering_horizon) : horizon_(ordering_horizon) {}

  void Insert(std::unique_ptr<BatchRequest> request);
  // By ascending OrderKey, with cancellations as they are now. Valid until the next call.
  std::span<const QueuedItem> Look();
  void CountOvertaken(std::span<const std::size_t> indices);
  // Takes out the requests at `first` and those at `second`, both ascending, without common index.
  // Later indices change.
  struct Taken {
    BatchRequests first;
    BatchRequests second;
  };
  Taken Take(std::span<const std::size_t> first, std::span<const std::size_t> second);
  BatchRequests TakeAll();
  bool empty() const { return requests_.empty(); }

 private:
  const std::chrono::nanoseconds horizon_;
  std::vector<QueuedItem> items_;
  BatchRequests requests_;  // requests_[i] belongs to items_[i]
};

}  // namespace reprise::server::batching
