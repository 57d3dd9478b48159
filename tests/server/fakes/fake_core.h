// A serving core of one model `demo`, version 3, that answers, waits or refuses as a test says.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/request/mutex.h"
#include "server/request/serving_core.h"

namespace reprise::server::testing {

// The answer to `request`: one row of two numbers per row of its first input.
inline InferenceReply TwoNumbersPerRow(const InferenceRequest& request) {
  const std::int64_t rows =
      request.inputs.empty() || request.inputs[0].shape.empty() ? 1 : request.inputs[0].shape[0];
  Tensor output;
  output.name =
      request.output_names.empty() ? std::string("sentence_embedding") : request.output_names[0];
  output.shape = {rows, 2};
  for (std::int64_t i = 0; i < 2 * rows; ++i) {
    const float value = static_cast<float>(i) + 0.5f;
    output.raw.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  InferenceReply reply;
  reply.model_name = request.model_name;
  reply.model_version = "3";
  reply.id = request.id;
  reply.outputs.push_back(std::move(output));
  reply.rows = rows;
  reply.tokens = 5 * rows;
  reply.timing.queue = std::chrono::nanoseconds(7);
  reply.timing.compute = std::chrono::nanoseconds(11);
  reply.timing.batch_rows = rows;
  reply.timing.batch_tokens = 5 * rows;
  return reply;
}

// Thread-safe.
class FakeCore final : public ServingCore {
 public:
  using Handler = std::function<void(std::unique_ptr<InferenceRequest>)>;

  FakeCore() {
    description_.name = "demo";
    description_.version = "3";
    description_.versions = {"1", "3"};
    description_.inputs = {{"input_ids", DataType::kInt64, {-1, -1}, true},
                           {"text", DataType::kBytes, {-1, 1}, true}};
    description_.outputs = {{"sentence_embedding", DataType::kFp32, {-1, 2}, false}};
    description_.labels = {"no", "yes"};
    description_.limits.max_batch_size = 8;
    description_.limits.max_queue_requests = 16;
    description_.limits.max_sequence_tokens = 32;
    description_.limits.max_queue_delay_us = 250;
  }

  // By default a request is answered before Infer returns.
  void SetHandler(Handler handler) {
    MutexLock lock(mutex_);
    handler_ = std::move(handler);
  }
  // Keeps requests until Release.
  void Hold() {
    SetHandler([this](std::unique_ptr<InferenceRequest> request) {
      MutexLock lock(mutex_);
      held_.push_back(std::move(request));
    });
  }
  // Keeps requests for ever, but answers one at once when it is cancelled, before Cancel returns.
  void AnswerCancelled() {
    SetHandler([this](std::unique_ptr<InferenceRequest> request) {
      request->cancellation->Listen([done = request->done] {
        done(absl::CancelledError("the core heard of it"), RefusalReason::kNone);
      });
      MutexLock lock(mutex_);
      held_.push_back(std::move(request));
    });
  }
  std::size_t held() {
    MutexLock lock(mutex_);
    return held_.size();
  }
  // Hands out what is held, oldest first.
  std::vector<std::unique_ptr<InferenceRequest>> TakeHeld() {
    MutexLock lock(mutex_);
    return std::exchange(held_, {});
  }
  void Release() {
    for (auto& request : TakeHeld()) {
      request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
    }
  }
  void SetReady(bool ready) { ready_ = ready; }
  ModelDescription& description() { return description_; }

  void Infer(std::unique_ptr<InferenceRequest> request) override {
    if (request->model_name == description_.name) request->progress->Found(description_.version);
    Handler handler;
    {
      MutexLock lock(mutex_);
      handler = handler_;
    }
    if (handler) return handler(std::move(request));
    request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
  }
  // The control call that waits for its answer; an empty name when none does.
  struct HeldControl {
    std::string act;  // "load" or "unload"
    std::string name;
    ControlParameters parameters;
    ControlCallback done;
  };
  HeldControl TakeControl() {
    MutexLock lock(mutex_);
    return std::exchange(control_, {});
  }
  void LoadModel(const std::string& name, const ControlParameters& parameters,
                 ControlCallback done) override {
    MutexLock lock(mutex_);
    control_ = {"load", name, parameters, std::move(done)};
  }
  void UnloadModel(const std::string& name, const ControlParameters& parameters,
                   ControlCallback done) override {
    MutexLock lock(mutex_);
    control_ = {"unload", name, parameters, std::move(done)};
  }
  bool Ready() const override { return ready_; }
  absl::StatusOr<bool> ModelReady(const std::string& name, const std::string&) const override {
    if (name != description_.name) return Unknown(name);
    return ready_.load();
  }
  absl::StatusOr<ModelDescription> Describe(const std::string& name,
                                            const std::string&) const override {
    if (name != description_.name) return Unknown(name);
    return description_;
  }
  std::vector<ModelIndexEntry> Index() const override {
    return {{"demo", "3", ready_ ? ModelState::kReady : ModelState::kLoading, ""},
            {"broken", "1", ModelState::kUnavailable, "no weights"}};
  }

 private:
  static absl::Status Unknown(const std::string& name) {
    return absl::NotFoundError(
        absl::StrCat("Request for unknown model: '", name, "' is not found"));
  }

  std::atomic<bool> ready_{true};
  ModelDescription description_;
  Mutex mutex_;
  Handler handler_;
  std::vector<std::unique_ptr<InferenceRequest>> held_;
  HeldControl control_;
};

}  // namespace reprise::server::testing
