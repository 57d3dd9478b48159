// A batch runner whose answers can be told from the tokens, and whose runs a test can hold.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "server/batching/batch_runner.h"
#include "server/request/mutex.h"

namespace reprise::server::testing {

inline constexpr std::int64_t kFakeHidden = 2;

// What a FakeRunner does and has done; shared by the runner and its test. Thread-safe.
class RunnerControl {
 public:
  void Hold() { Set(&RunnerControl::held_, true); }
  void Release() { Set(&RunnerControl::held_, false); }
  void FailFromNowOn() { Set(&RunnerControl::failing_, true); }
  void Recover() { Set(&RunnerControl::failing_, false); }
  // The next run throws `error`, once.
  void ThrowNext(std::exception_ptr error) {
    MutexLock lock(mutex_);
    error_ = std::move(error);
  }

  // Waits until `count` runs have begun.
  void AwaitRuns(std::size_t count) {
    MutexLock lock(mutex_);
    while (runs_.size() < count) changed_.wait(lock.native());
  }
  // The first token of each sequence, run by run.
  std::vector<std::vector<std::int32_t>> runs() const {
    MutexLock lock(mutex_);
    return runs_;
  }

  // For the runner. False: fail.
  bool Begin(std::vector<std::int32_t> first_tokens) {
    MutexLock lock(mutex_);
    runs_.push_back(std::move(first_tokens));
    changed_.notify_all();
    while (held_) changed_.wait(lock.native());
    if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
    return !failing_;
  }

 private:
  void Set(bool RunnerControl::*member, bool value) {
    MutexLock lock(mutex_);
    this->*member = value;
    changed_.notify_all();
  }

  mutable Mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool failing_ = false;
  std::exception_ptr error_;
  std::vector<std::vector<std::int32_t>> runs_;
};

// last_hidden_state of a token is {id, 1000 + position}, sentence_embedding and pooler_output of a
// sequence {sum of its ids, its length}.
class FakeRunner final : public batching::BatchRunner {
 public:
  explicit FakeRunner(std::shared_ptr<RunnerControl> control) : control_(std::move(control)) {}

  absl::Status Run(const engine::RaggedBatch& batch, const engine::OutputSet& wanted,
                   engine::Outputs* outputs) override {
    std::vector<std::int32_t> first_tokens;
    tokens_.clear();
    sequences_.clear();
    for (std::int64_t row = 0; row < batch.batch_size(); ++row) {
      float sum = 0;
      first_tokens.push_back(batch.input_ids[batch.cu_seqlens[row]]);
      for (int t = batch.cu_seqlens[row]; t < batch.cu_seqlens[row + 1]; ++t) {
        const int position =
            batch.position_ids.empty() ? t - batch.cu_seqlens[row] : batch.position_ids[t];
        tokens_.push_back(static_cast<float>(batch.input_ids[t]));
        tokens_.push_back(static_cast<float>(1000 + position));
        sum += static_cast<float>(batch.input_ids[t]);
      }
      sequences_.push_back(sum);
      sequences_.push_back(static_cast<float>(batch.seq_len(row)));
    }
    if (!control_->Begin(std::move(first_tokens))) return absl::InternalError("device lost");
    if (wanted.last_hidden_state) outputs->last_hidden_state = View(tokens_);
    if (wanted.sentence_embedding) outputs->sentence_embedding = View(sequences_);
    if (wanted.pooler_output) outputs->pooler_output = View(sequences_);
    return absl::OkStatus();
  }
  const engine::ExecutionReport& report() const override { return report_; }

 private:
  static engine::MatrixView<const float> View(const std::vector<float>& values) {
    return {values.data(), static_cast<std::int64_t>(values.size()) / kFakeHidden, kFakeHidden,
            kFakeHidden};
  }

  std::shared_ptr<RunnerControl> control_;
  engine::ExecutionReport report_;
  std::vector<float> tokens_;
  std::vector<float> sequences_;
};

}  // namespace reprise::server::testing
