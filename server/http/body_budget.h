// The memory that request bodies may take before they are decoded, over all connections.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace reprise::server::http {

// Thread-safe.
class BodyBudget {
 public:
  explicit BodyBudget(std::int64_t limit) : limit_(limit) {}

  bool Take(std::int64_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_) return true;
    Give(bytes);
    return false;
  }
  void Give(std::int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::int64_t limit() const { return limit_; }
  std::int64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::int64_t limit_;
  std::atomic<std::int64_t> used_{0};
};

// What one request has taken of a budget; given back when it is destroyed. Not thread-safe.
class BodyShare {
 public:
  explicit BodyShare(BodyBudget& budget) : budget_(budget) {}
  ~BodyShare() { Reset(); }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;

  // ResourceExhausted when the budget is used up. Waiting for it instead could go on for ever: each
  // of many half-read bodies would wait for the others.
  absl::Status Grow(std::int64_t bytes) {
    if (!budget_.Take(bytes)) {
      return absl::ResourceExhaustedError(
          absl::StrCat("bodies that are being received take all of the ", budget_.limit(),
                       " bytes set aside for them; try again, or raise --http-memory-bytes"));
    }
    taken_ += bytes;
    return absl::OkStatus();
  }
  void Reset() {
    budget_.Give(taken_);
    taken_ = 0;
  }

 private:
  BodyBudget& budget_;
  std::int64_t taken_ = 0;
};

}  // namespace reprise::server::http
