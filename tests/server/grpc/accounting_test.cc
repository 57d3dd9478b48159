// Every call ends in exactly one count, whatever happens to it and when.
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using testing::Eventually;
using testing::milliseconds;
using testing::seconds;
using testing::TwoNumbersPerRow;

// What a call of the storm is sent for.
enum class Kind {
  kGood,
  kMalformed,
  kWrongDatatype,
  kUnknownModel,
  kUnknownMethod,
  kTooLarge,
  kRefused,
  kEngineFault,
  kLate,               // its deadline passes in the queue
  kCancelledArriving,  // the five moments of a cancellation
  kCancelledQueued,
  kCancelledRunning,
  kCancelledAnswering,  // at the same time as its answer: either may win
  kCancelledAnswered,   // too late
  kNumKinds
};
constexpr int kNumKinds = static_cast<int>(Kind::kNumKinds);

struct Expected {
  absl::StatusCode code = absl::StatusCode::kOk;
  RefusalReason refusal = RefusalReason::kNone;
};

Expected ExpectedOf(Kind kind) {
  using Code = absl::StatusCode;
  switch (kind) {
    case Kind::kMalformed:
    case Kind::kWrongDatatype:
      return {Code::kInvalidArgument, RefusalReason::kInvalid};
    case Kind::kUnknownModel:
      return {Code::kNotFound};
    case Kind::kUnknownMethod:
      return {Code::kUnimplemented};
    case Kind::kTooLarge:
      return {Code::kResourceExhausted, RefusalReason::kTooLarge};
    case Kind::kRefused:
      return {Code::kResourceExhausted, RefusalReason::kQueueRequests};
    case Kind::kEngineFault:
      return {Code::kInternal};
    case Kind::kLate:
      return {Code::kDeadlineExceeded, RefusalReason::kDeadline};
    case Kind::kCancelledArriving:
    case Kind::kCancelledQueued:
    case Kind::kCancelledRunning:
      return {Code::kCancelled};
    default:
      return {};
  }
}

class AccountingTest : public testing::ServerFixture {
 protected:
  struct Call {
    Kind kind;
    ::grpc::ClientContext context;
    ::grpc::Status status;
    std::atomic<bool> held{false};
  };

  void SetUp() override {
    GrpcServerOptions options;
    options.max_receive_bytes = 64 << 10;
    StartServer(options);
    core_.SetHandler(
        [this](std::unique_ptr<InferenceRequest> request) { Play(std::move(request)); });
  }
  void TearDown() override {
    server_->Shutdown(SteadyClock::now() + seconds(10));
    MutexLock lock(threads_mutex_);
    for (std::thread& thread : threads_) thread.join();
  }

  Call& CallOf(const InferenceRequest& request) {
    MutexLock lock(mutex_);
    return *calls_.at(std::stoul(request.id));
  }

  // The core's part in the story of a call.
  void Play(std::unique_ptr<InferenceRequest> request) {
    if (request->model_name != "demo") {
      return request->done(absl::NotFoundError("unknown model"), RefusalReason::kNone);
    }
    Call& call = CallOf(*request);
    switch (call.kind) {
      case Kind::kRefused:
        return request->done(absl::ResourceExhaustedError("full"), RefusalReason::kQueueRequests);
      case Kind::kEngineFault:
        return request->done(absl::InternalError("fault"), RefusalReason::kNone);
      case Kind::kCancelledArriving:
        call.context.TryCancel();
        return Later(std::move(request), /*run=*/false);
      case Kind::kCancelledQueued:
      case Kind::kLate:
        call.held = true;
        return Later(std::move(request), /*run=*/false);
      case Kind::kCancelledRunning:
        call.held = true;
        return Later(std::move(request), /*run=*/true);
      case Kind::kCancelledAnswering:
        call.context.TryCancel();
        break;
      default:
        break;
    }
    request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
  }

  // Answers once the protocol has said that nobody waits any more, as a batcher would.
  void Later(std::unique_ptr<InferenceRequest> request, bool run) {
    if (run) request->progress->Join(1, SteadyClock::now());
    MutexLock lock(threads_mutex_);
    threads_.emplace_back([request = std::move(request)] {
      EXPECT_TRUE(Eventually([&] { return request->cancellation->cancelled(); }));
      request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
    });
  }

  // Sends a call of this kind and waits for its end.
  void Send(Kind kind) {
    auto call = std::make_unique<Call>();
    call->kind = kind;
    Call& sent = *call;
    inference::ModelInferRequest request = InferRequest();
    {
      MutexLock lock(mutex_);
      request.set_id(std::to_string(calls_.size()));
      calls_.push_back(std::move(call));
    }
    if (kind == Kind::kWrongDatatype) request.mutable_inputs(0)->set_datatype("INT63");
    if (kind == Kind::kUnknownModel) request.set_model_name("nobody");
    if (kind == Kind::kTooLarge) request.mutable_inputs(0)->set_name(std::string(100 << 10, 'n'));
    const std::string infer = "/inference.GRPCInferenceService/ModelInfer";
    if (kind == Kind::kMalformed) {
      sent.status = CallWithBytes(infer, "\xff\xff");
    } else if (kind == Kind::kUnknownMethod) {
      sent.status = CallWithBytes("/inference.GRPCInferenceService/ModelGuess", "");
    } else {
      SendInference(sent, request);
    }
  }

  void SendInference(Call& call, const inference::ModelInferRequest& request) {
    // Long enough to arrive on a busy machine: a call that ends on its way is nobody's to count.
    if (call.kind == Kind::kLate) {
      call.context.set_deadline(std::chrono::system_clock::now() + milliseconds(700));
    }
    inference::ModelInferResponse response;
    std::promise<::grpc::Status> done;
    inference_->async()->ModelInfer(&call.context, &request, &response, [&](::grpc::Status status) {
      done.set_value(std::move(status));
    });
    if (call.kind == Kind::kCancelledQueued || call.kind == Kind::kCancelledRunning) {
      EXPECT_TRUE(Eventually([&] { return call.held.load(); }));
      call.context.TryCancel();
    }
    call.status = done.get_future().get();
    if (call.kind == Kind::kCancelledAnswered) call.context.TryCancel();
  }

  Mutex mutex_;
  std::vector<std::unique_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);
  Mutex threads_mutex_;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(threads_mutex_);
};

TEST_F(AccountingTest, AStormOfCallsEndsInOneCountEach) {
  constexpr int kCallers = 4;
  constexpr int kRounds = 6;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([this, caller] {
      for (int i = 0; i < kRounds * kNumKinds; ++i) {
        const int kind = (i + caller * 3) % kNumKinds;
        // Those that wait for their deadline would make up most of the time.
        if (static_cast<Kind>(kind) == Kind::kLate && i >= kNumKinds) continue;
        Send(static_cast<Kind>(kind));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  server_->RefuseNew();
  constexpr std::size_t kWhileDraining = 5;
  for (std::size_t i = 0; i < kWhileDraining; ++i) {
    inference::ModelInferResponse response;
    EXPECT_EQ(Infer(InferRequest(), &response).error_code(), ::grpc::StatusCode::UNAVAILABLE);
  }

  MutexLock lock(mutex_);
  const std::size_t sent = calls_.size() + kWhileDraining;
  // A caller learns of its own cancellation before the server does.
  EXPECT_TRUE(Eventually([&] { return observer_.rpcs().size() >= sent; }));
  server_->Shutdown(SteadyClock::now() + seconds(10));
  EXPECT_EQ(observer_.rpcs().size(), sent);

  std::map<std::pair<std::string, absl::StatusCode>, int> expected;
  std::map<RefusalReason, int> refusals;
  int races = 0;
  int unknown_methods = 0;
  for (const auto& call : calls_) {
    const Expected ending = ExpectedOf(call->kind);
    if (call->kind == Kind::kCancelledAnswering) {
      ++races;
      continue;
    }
    EXPECT_EQ(static_cast<int>(call->status.error_code()), static_cast<int>(ending.code))
        << static_cast<int>(call->kind) << " " << call->status.error_message();
    unknown_methods += call->kind == Kind::kUnknownMethod;
    ++expected[{call->kind == Kind::kUnknownMethod ? "_unknown" : "ModelInfer", ending.code}];
    if (ending.refusal != RefusalReason::kNone) ++refusals[ending.refusal];
  }
  expected[{"ModelInfer", absl::StatusCode::kUnavailable}] = kWhileDraining;
  refusals[RefusalReason::kDraining] = kWhileDraining;

  std::map<std::pair<std::string, absl::StatusCode>, int> counted;
  for (const auto& rpc : observer_.rpcs()) ++counted[{rpc.method, rpc.code}];
  // Races were won by the answer or by the cancellation.
  int& answered = counted[{"ModelInfer", absl::StatusCode::kOk}];
  int& cancelled = counted[{"ModelInfer", absl::StatusCode::kCancelled}];
  const int won_by_answer = answered - expected[{"ModelInfer", absl::StatusCode::kOk}];
  const int won_by_caller = cancelled - expected[{"ModelInfer", absl::StatusCode::kCancelled}];
  EXPECT_GE(won_by_answer, 0);
  EXPECT_GE(won_by_caller, 0);
  EXPECT_EQ(won_by_answer + won_by_caller, races);
  answered -= won_by_answer;
  cancelled -= won_by_caller;
  EXPECT_EQ(counted, expected);

  std::map<RefusalReason, int> refused;
  std::map<absl::StatusCode, int> inferences_by_code;
  for (const auto& inference : observer_.inferences()) {
    ++inferences_by_code[inference.outcome.code];
    if (inference.outcome.refusal != RefusalReason::kNone) ++refused[inference.outcome.refusal];
  }
  EXPECT_EQ(refused, refusals);
  EXPECT_EQ(observer_.inferences().size(), sent - static_cast<std::size_t>(unknown_methods));
  for (const auto& rpc : observer_.rpcs()) {
    if (rpc.method == "ModelInfer") --inferences_by_code[rpc.code];
  }
  for (const auto& [code, difference] : inferences_by_code) {
    EXPECT_EQ(difference, 0) << absl::StatusCodeToString(code);
  }
}

}  // namespace
}  // namespace reprise::server::grpc
