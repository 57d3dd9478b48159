// Keeps how calls ended.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::grpc::testing {

// Thread-safe.
class RecordingObserver final : public Observer {
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

  void OnRpcFinished(const RpcOutcome& outcome) override {
    MutexLock lock(mutex_);
    rpcs_.push_back({std::string(outcome.method), outcome.code});
  }
  void OnInferenceFinished(const InferenceOutcome& outcome) override {
    MutexLock lock(mutex_);
    inferences_.push_back({outcome, std::string(outcome.model), std::string(outcome.version)});
  }
  void OnBatchFinished(const BatchOutcome&) override {}
  void OnSequence(std::string_view, std::string_view, std::int64_t) override {}
  void OnQueueDepth(std::string_view, std::string_view, const QueueDepth&) override {}
  void OnInflight(std::string_view, std::string_view, std::int64_t) override {}
  void OnModelState(std::string_view, std::string_view, ModelState, std::string_view) override {}
  void OnModelReady(const ModelDescription&, std::chrono::nanoseconds) override {}
  void OnDraining() override {}

  std::vector<Rpc> rpcs() {
    MutexLock lock(mutex_);
    return rpcs_;
  }
  std::vector<Inference> inferences() {
    MutexLock lock(mutex_);
    return inferences_;
  }

 private:
  Mutex mutex_;
  std::vector<Rpc> rpcs_;
  std::vector<Inference> inferences_;
};

}  // namespace reprise::server::grpc::testing
