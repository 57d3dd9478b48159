#include "loadtest/generator/load_run.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "inference/grpc_service.grpc.pb.h"

namespace reprise::loadtest {
namespace {

using Clock = std::chrono::steady_clock;
using Stub = inference::GRPCInferenceService::Stub;

// Beyond this many unanswered calls an open loop only measures its own memory.
constexpr std::int64_t kMaxInFlight = 200'000;
constexpr std::chrono::milliseconds kProgressPeriod{100};

class Run;

// One call on its way; owns itself until its answer has come.
struct Call {
  ::grpc::ClientContext context;
  const inference::ModelInferRequest* request = nullptr;
  inference::ModelInferResponse response;
  Clock::time_point due;
};

class Run {
 public:
  explicit Run(const LoadOptions& options) : options_(options), random_(options.seed) {
    for (const int seq_len : options.seq_lens) requests_.push_back(RequestOf(seq_len));
    for (int i = 0; i < options.connections; ++i) {
      ::grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
      arguments.SetMaxReceiveMessageSize(-1);
      channels_.push_back(::grpc::CreateCustomChannel(
          options.address, ::grpc::InsecureChannelCredentials(), arguments));
      stubs_.push_back(inference::GRPCInferenceService::NewStub(channels_.back()));
    }
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

  LoadReport Go(const std::function<void(double)>& progress) {
    start_ = Clock::now();
    counted_from_ = start_ + options_.warm_up;
    end_ = counted_from_ + options_.duration;
    if (options_.rate > 0) {
      SendOpenLoop(progress);
    } else {
      for (int i = 0; i < options_.concurrency && MayStart(); ++i) Start(Clock::now());
    }
    std::unique_lock lock(mutex_);
    while (!all_ended_.wait_for(lock, kProgressPeriod, [this] { return in_flight_ == 0; })) {
      lock.unlock();
      progress(PartDone());
      lock.lock();
    }
    const Clock::time_point last = std::min(end_, last_sent_);
    return LoadReport(outcomes_,
                      std::max<Clock::duration>(last - counted_from_, Clock::duration{1}));
  }

 private:
  inference::ModelInferRequest RequestOf(int seq_len) {
    inference::ModelInferRequest request;
    request.set_model_name(options_.model);
    auto& input = *request.add_inputs();
    input.set_name("input_ids");
    input.set_datatype("INT64");
    input.add_shape(1);
    input.add_shape(seq_len);
    std::uniform_int_distribution<std::int64_t> id(0, options_.vocab_size - 1);
    std::vector<std::int64_t> ids(seq_len);
    for (std::int64_t& each : ids) each = id(random_);
    request.add_raw_input_contents(ids.data(), ids.size() * sizeof(ids[0]));
    request.add_outputs()->set_name(options_.output);
    return request;
  }

  // Arrivals are drawn ahead of time, so a slow caller is late, and its lateness counts.
  void SendOpenLoop(const std::function<void(double)>& progress) {
    std::exponential_distribution<double> gap(options_.rate);
    std::mt19937_64 arrivals(options_.seed + 1);
    Clock::time_point due = start_;
    Clock::time_point shown = start_;
    while (true) {
      due +=
          std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(gap(arrivals)));
      if (due >= end_) return;
      std::this_thread::sleep_until(due);
      if (!MayStart()) return;
      Start(due);
      if (due - shown > kProgressPeriod) {
        progress(PartDone());
        shown = due;
      }
    }
  }

  // Counts the call in, or says that the run is over.
  bool MayStart() {
    std::lock_guard lock(mutex_);
    if (Clock::now() >= end_) return false;
    if (options_.max_calls > 0 && sent_ >= options_.max_calls) return false;
    if (in_flight_ >= kMaxInFlight) return false;
    ++sent_;
    ++in_flight_;
    return true;
  }

  void Start(Clock::time_point due) {
    auto* call = new Call;
    call->due = due;
    Stub* stub = nullptr;
    {
      std::lock_guard lock(mutex_);
      last_sent_ = Clock::now();
      call->request = &requests_[random_() % requests_.size()];
      stub = stubs_[next_stub_++ % stubs_.size()].get();
    }
    if (options_.deadline.count() > 0) {
      call->context.set_deadline(std::chrono::system_clock::now() + options_.deadline);
    }
    stub->async()->ModelInfer(&call->context, call->request, &call->response,
                              [this, call](const ::grpc::Status& status) { Ended(call, status); });
  }

  void Ended(Call* ended, const ::grpc::Status& status) {
    std::unique_ptr<Call> call(ended);
    const Clock::time_point now = Clock::now();
    {
      std::lock_guard lock(mutex_);
      if (call->due >= counted_from_) {
        outcomes_.push_back({status.error_code(), now - call->due,
                             !status.ok() && !status.error_details().empty()});
      }
    }
    // The next call of this caller is in flight before this one leaves: the count never falls to 0
    // between them.
    if (options_.rate == 0 && MayStart()) Start(Clock::now());
    // It shares its channel, which must not end here, in a thread of gRPC's, after the run.
    call.reset();
    std::lock_guard lock(mutex_);
    if (--in_flight_ == 0) all_ended_.notify_all();
  }

  double PartDone() {
    const auto part = [](auto done, auto whole) {
      return std::clamp(static_cast<double>(done) / static_cast<double>(whole), 0.0, 1.0);
    };
    const double of_time = part((Clock::now() - start_).count(), (end_ - start_).count());
    if (options_.max_calls == 0) return of_time;
    std::lock_guard lock(mutex_);
    return std::max(of_time, part(sent_, options_.max_calls));
  }

  const LoadOptions options_;
  std::vector<inference::ModelInferRequest> requests_;  // one per length
  std::vector<std::shared_ptr<::grpc::Channel>> channels_;
  std::vector<std::unique_ptr<Stub>> stubs_;
  Clock::time_point start_, counted_from_, end_;

  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::mt19937_64 random_;
  std::size_t next_stub_ = 0;
  std::int64_t sent_ = 0;
  std::int64_t in_flight_ = 0;
  Clock::time_point last_sent_;
  std::vector<CallOutcome> outcomes_;
};

}  // namespace

absl::StatusOr<LoadReport> RunLoad(const LoadOptions& options,
                                   const std::function<void(double part)>& progress) {
  REPRISE_RETURN_IF_ERROR(Validate(options));
  Run run(options);
  REPRISE_RETURN_IF_ERROR(run.Connect());
  return run.Go(progress);
}

}  // namespace reprise::loadtest
