#include "loadtest/generator/load_run.h"

#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "inference/grpc_service.grpc.pb.h"

namespace reprise::loadtest {
namespace {

using Clock = std::chrono::steady_clock;
using Stub = inference::GRPCInferenceService::Stub;

// Beyond this many unanswered calls an open loop only measures its own memory.
constexpr std::int64_t kMostUnanswered = 200'000;
constexpr std::chrono::milliseconds kProgressPeriod{100};

// One call on its way; owns itself until its answer has come.
struct Call {
  ::grpc::ClientContext context;
  inference::ModelInferResponse response;
  CallRecord record;
};

class Run {
 public:
  Run(const LoadOptions& options, const LoadPlan& plan)
      : options_(options), plan_(plan), end_(options.warm_up + options.duration) {
    for (int i = 0; i < options.connections; ++i) {
      ::grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
      arguments.SetMaxReceiveMessageSize(-1);
      channels_.push_back(::grpc::CreateCustomChannel(
          options.address, ::grpc::InsecureChannelCredentials(), arguments));
      stubs_.push_back(inference::GRPCInferenceService::NewStub(channels_.back()));
    }
    outcome_.calls.reserve(options.open_loop() ? plan.calls.size() : 1 << 16);
  }

  absl::Status Connect() {
    for (const auto& channel : channels_) {
      if (channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
        continue;
      }
      return absl::UnavailableError(
          absl::StrCat("no server answers at ", options_.address, ": start it, or set --address"));
    }
    return absl::OkStatus();
  }

  LoadOutcome Go(const std::function<void(double)>& progress) {
    start_ = Clock::now();
    options_.open_loop() ? SendOpenLoop(progress) : SendClosedLoop();
    AwaitAnswers(progress);
    outcome_.counted_from = options_.warm_up;
    outcome_.counted_until = ended_early() ? std::max(last_due_, options_.warm_up + kShortest)
                                           : std::chrono::nanoseconds(end_);
    return std::move(outcome_);
  }

 private:
  static constexpr std::chrono::nanoseconds kShortest{1};

  std::chrono::nanoseconds Elapsed() const { return Clock::now() - start_; }

  // Every call is sent, however late: one that is left out would be a slow one that is not seen.
  void SendOpenLoop(const std::function<void(double)>& progress) {
    ::prctl(PR_SET_TIMERSLACK, 1UL);  // wake up when asked to, not up to 50 us later
    std::chrono::nanoseconds shown{0};
    for (const PlannedCall& planned : plan_.calls) {
      std::this_thread::sleep_until(start_ + planned.due);
      if (MayStart(planned.due)) Start(planned, planned.due);
      if (planned.due - shown < kProgressPeriod) continue;
      progress(PartDone());
      shown = planned.due;
    }
  }

  void SendClosedLoop() {
    for (int i = 0; i < options_.concurrency; ++i) {
      if (!StartNextOfClosedLoop()) return;
    }
  }

  bool StartNextOfClosedLoop() {
    const std::chrono::nanoseconds now = Elapsed();
    if (now >= end_ || !MayStart(now)) return false;
    std::size_t next = 0;
    {
      std::lock_guard lock(mutex_);
      next = next_of_closed_loop_++ % plan_.calls.size();
    }
    Start(plan_.calls[next], now);
    return true;
  }

  // Counts the call in, unless there are enough, or it cannot be sent.
  bool MayStart(std::chrono::nanoseconds due) {
    std::lock_guard lock(mutex_);
    if (options_.max_calls > 0 && sent_ >= options_.max_calls) return false;
    if (unanswered_ >= kMostUnanswered) {
      outcome_.not_sent += due >= options_.warm_up ? 1 : 0;
      return false;
    }
    ++sent_;
    ++unanswered_;
    last_due_ = due;
    return true;
  }

  void Start(const PlannedCall& planned, std::chrono::nanoseconds due) {
    auto* call = new Call;
    const std::chrono::nanoseconds limit =
        planned.timeout.count() > 0 ? due + planned.timeout : end_ + options_.drain;
    call->record.due = due;
    call->record.sent = Elapsed();
    call->context.set_deadline(
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::system_clock::duration>(limit - call->record.sent));
    if (!planned.client.empty() && !options_.client_key.empty()) {
      call->context.AddMetadata(options_.client_key, planned.client);
    }
    stubs_[next_stub_++ % stubs_.size()]->async()->ModelInfer(
        &call->context, &plan_.requests[planned.request], &call->response,
        [this, call](const ::grpc::Status& status) { Ended(call, status); });
  }

  void Ended(Call* ended, const ::grpc::Status& status) {
    std::unique_ptr<Call> call(ended);
    call->record.done = Elapsed();
    call->record.code = status.error_code();
    call->record.refused_by_server = !status.ok() && !status.error_details().empty();
    if (call->record.due >= options_.warm_up) {
      std::lock_guard lock(mutex_);
      outcome_.calls.push_back(call->record);
    }
    // The next call of this caller is under way before this one leaves: the count never falls to 0
    // between them.
    if (!options_.open_loop()) StartNextOfClosedLoop();
    // It shares its channel, which must not end here, in a thread of gRPC's, after the run.
    call.reset();
    std::lock_guard lock(mutex_);
    if (--unanswered_ == 0) all_ended_.notify_all();
  }

  void AwaitAnswers(const std::function<void(double)>& progress) {
    std::unique_lock lock(mutex_);
    while (!all_ended_.wait_for(lock, kProgressPeriod, [this] { return unanswered_ == 0; })) {
      lock.unlock();
      progress(PartDone());
      lock.lock();
    }
  }

  bool ended_early() const { return options_.max_calls > 0 && sent_ >= options_.max_calls; }

  double PartDone() {
    const auto part = [](auto done, auto whole) {
      return std::clamp(static_cast<double>(done) / static_cast<double>(whole), 0.0, 1.0);
    };
    const double of_time = part(Elapsed().count(), end_.count());
    if (options_.max_calls == 0) return of_time;
    std::lock_guard lock(mutex_);
    return std::max(of_time, part(sent_, options_.max_calls));
  }

  const LoadOptions& options_;
  const LoadPlan& plan_;
  const std::chrono::nanoseconds end_;
  std::vector<std::shared_ptr<::grpc::Channel>> channels_;
  std::vector<std::unique_ptr<Stub>> stubs_;
  std::atomic<std::size_t> next_stub_{0};
  Clock::time_point start_;

  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::size_t next_of_closed_loop_ = 0;
  std::int64_t sent_ = 0;
  std::int64_t unanswered_ = 0;
  std::chrono::nanoseconds last_due_{0};
  LoadOutcome outcome_;
};

}  // namespace

absl::StatusOr<LoadOutcome> RunLoad(const LoadOptions& options, const LoadPlan& plan,
                                    const std::function<void(double part)>& progress) {
  REPRISE_RETURN_IF_ERROR(Validate(options));
  Run run(options, plan);
  REPRISE_RETURN_IF_ERROR(run.Connect());
  return run.Go(progress);
}

}  // namespace reprise::loadtest
