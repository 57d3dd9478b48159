// Keeps what the server reports, for tests to read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::testing {

// Thread-safe.
class FakeObserver final : public Observer {
 public:
  struct Rpc {
    std::string method;
    absl::StatusCode code;
    friend bool operator==(const Rpc&, const Rpc&) = default;
  };
  struct Inference {
    InferenceOutcome outcome;  // its views are dangling; use the two below
    std::string model;
    std::string version;
  };
  struct Batch {
    std::int64_t requests = 0;
    std::int64_t rows = 0;
    std::int64_t tokens = 0;
    BatchCloseReason closed = BatchCloseReason::kIdle;
    bool failed = false;
    friend bool operator==(const Batch&, const Batch&) = default;
  };

  void OnRpcFinished(const RpcOutcome& outcome) override {
    MutexLock lock(mutex_);
    rpcs_.push_back({std::string(outcome.method), outcome.code});
  }
  void OnInferenceFinished(const InferenceOutcome& outcome) override {
    MutexLock lock(mutex_);
    inferences_.push_back({outcome, std::string(outcome.model), std::string(outcome.version)});
  }
  void OnBatchFinished(const BatchOutcome& outcome) override {
    MutexLock lock(mutex_);
    batches_.push_back({outcome.requests, outcome.rows, outcome.tokens, outcome.closed,
                        outcome.report == nullptr});
    predicted_waits_.push_back(outcome.predicted_wait);
  }
  void OnSequence(std::string_view, std::string_view, std::int64_t tokens) override {
    MutexLock lock(mutex_);
    sequences_.push_back(tokens);
  }
  void OnQueueDepth(std::string_view, std::string_view, const QueueDepth& depth) override {
    MutexLock lock(mutex_);
    depth_ = depth;
  }
  void OnInflight(std::string_view, std::string_view, std::int64_t requests) override {
    MutexLock lock(mutex_);
    inflight_ = requests;
  }
  void OnModelState(std::string_view model, std::string_view version, ModelState state,
                    std::string_view) override {
    MutexLock lock(mutex_);
    states_[std::string(model) + "/" + std::string(version)].push_back(state);
  }
  void OnModelReady(const ModelDescription&, std::chrono::nanoseconds) override {}
  void OnGoldenMismatch(std::string_view model, std::string_view version) override {
    MutexLock lock(mutex_);
    golden_mismatches_.push_back(std::string(model) + "/" + std::string(version));
  }
  void OnDraining() override {
    MutexLock lock(mutex_);
    ++draining_;
  }

  std::vector<Rpc> rpcs() const { return Read(rpcs_); }
  std::vector<Inference> inferences() const { return Read(inferences_); }
  std::vector<Batch> batches() const { return Read(batches_); }
  std::vector<std::chrono::nanoseconds> predicted_waits() const { return Read(predicted_waits_); }
  std::vector<std::int64_t> sequences() const { return Read(sequences_); }
  QueueDepth depth() const { return Read(depth_); }
  std::int64_t inflight() const { return Read(inflight_); }
  std::vector<std::string> golden_mismatches() const { return Read(golden_mismatches_); }
  int draining() const { return Read(draining_); }
  std::vector<ModelState> states(const std::string& model_and_version) const {
    return Read(states_)[model_and_version];
  }

 private:
  template <typename T>
  T Read(const T& member) const {
    MutexLock lock(mutex_);
    return member;
  }

  mutable Mutex mutex_;
  std::vector<Rpc> rpcs_;
  std::vector<Inference> inferences_;
  std::vector<Batch> batches_;
  std::vector<std::chrono::nanoseconds> predicted_waits_;
  std::vector<std::int64_t> sequences_;
  QueueDepth depth_;
  std::int64_t inflight_ = 0;
  std::vector<std::string> golden_mismatches_;
  int draining_ = 0;
  std::map<std::string, std::vector<ModelState>> states_;
};

}  // namespace reprise::server::testing
