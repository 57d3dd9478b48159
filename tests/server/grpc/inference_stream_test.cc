#include "server/grpc/inference_stream.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using testing::Eventually;
using ::testing::HasSubstr;
using testing::milliseconds;
using testing::seconds;
using testing::TwoNumbersPerRow;
using Reply = inference::ModelStreamInferResponse;

class InferenceStreamTest : public testing::ServerFixture {
 protected:
  using Stream = ::grpc::ClientReaderWriter<inference::ModelInferRequest, Reply>;

  std::unique_ptr<Stream> Open(::grpc::ClientContext* context) {
    return inference_->ModelStreamInfer(context);
  }
  static inference::ModelInferRequest Request(const std::string& id) {
    inference::ModelInferRequest request = InferRequest();
    request.set_id(id);
    return request;
  }
  std::unique_ptr<Stream> OpenHeld(::grpc::ClientContext* context,
                                   const std::vector<std::string>& ids) {
    core_.Hold();
    return OpenAndSend(context, ids);
  }
  // Opens a stream with one request per id and returns when the core has them all.
  std::unique_ptr<Stream> OpenAndSend(::grpc::ClientContext* context,
                                      const std::vector<std::string>& ids) {
    auto stream = Open(context);
    for (const std::string& id : ids) EXPECT_TRUE(stream->Write(Request(id)));
    EXPECT_TRUE(Eventually([&] { return core_.held() == ids.size(); }));
    return stream;
  }
  static std::vector<std::string> ReadIds(Stream& stream) {
    std::vector<std::string> ids;
    for (Reply reply; stream.Read(&reply);) ids.push_back(reply.infer_response().id());
    return ids;
  }
  std::size_t Counted(const std::string& method, absl::StatusCode code) {
    const auto rpcs = observer_.rpcs();
    return std::count(rpcs.begin(), rpcs.end(), server::testing::FakeObserver::Rpc{method, code});
  }
  // What every test here ends with: the stream was counted once, each request once.
  void ExpectCounted(absl::StatusCode stream, std::size_t items) {
    ASSERT_TRUE(Eventually([&] { return Counted("ModelStreamInfer/stream", stream) == 1; }));
    const auto rpcs = observer_.rpcs();
    EXPECT_EQ(std::count_if(rpcs.begin(), rpcs.end(),
                            [](const auto& rpc) { return rpc.method == "ModelStreamInfer"; }),
              static_cast<std::ptrdiff_t>(items));
    EXPECT_EQ(observer_.inferences().size(), items);
  }
};

TEST_F(InferenceStreamTest, AnswersInTheOrderOfTheRequests) {
  StartServer();
  ::grpc::ClientContext context;
  auto stream = OpenHeld(&context, {"a", "b", "c"});
  auto held = core_.TakeHeld();
  std::reverse(held.begin(), held.end());
  for (auto& request : held) request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
  stream->WritesDone();
  EXPECT_THAT(ReadIds(*stream), ::testing::ElementsAre("a", "b", "c"));
  EXPECT_TRUE(stream->Finish().ok());
  ExpectCounted(absl::StatusCode::kOk, 3);
}

TEST_F(InferenceStreamTest, SaysThatEachReplyIsTheLastOfItsRequest) {
  StartServer();
  ::grpc::ClientContext context;
  auto stream = Open(&context);
  inference::ModelInferRequest request = Request("mine");
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  Reply reply;
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_EQ(reply.error_message(), "");
  EXPECT_EQ(reply.infer_response().model_version(), "3");
  EXPECT_EQ(reply.infer_response().raw_output_contents_size(), 1);
  EXPECT_TRUE(reply.infer_response().parameters().at("triton_final_response").bool_param());
  EXPECT_FALSE(stream->Read(&reply)) << "there is no empty reply beside the only one";
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(InferenceStreamTest, GoesOnAfterARequestThatFailed) {
  StartServer();
  ::grpc::ClientContext context;
  auto stream = Open(&context);
  inference::ModelInferRequest wrong = Request("wrong");
  wrong.set_model_version("2");
  wrong.mutable_inputs(0)->add_shape(5);
  ASSERT_TRUE(stream->Write(wrong));
  ASSERT_TRUE(stream->Write(Request("right")));
  stream->WritesDone();
  Reply reply;
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_THAT(reply.error_message(), HasSubstr("input_ids"));
  const auto& response = reply.infer_response();
  EXPECT_EQ(response.id(), "wrong");
  EXPECT_EQ(response.model_name(), "demo");
  EXPECT_EQ(response.model_version(), "2");
  EXPECT_EQ(response.parameters().at("reprise_grpc_code").int64_param(),
            ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(response.parameters().at("triton_final_response").bool_param());
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_EQ(reply.error_message(), "");
  EXPECT_EQ(reply.infer_response().id(), "right");
  EXPECT_FALSE(reply.infer_response().parameters().contains("reprise_grpc_code"));
  EXPECT_TRUE(stream->Finish().ok());
  ExpectCounted(absl::StatusCode::kOk, 2);
  EXPECT_EQ(observer_.inferences()[0].outcome.refusal, RefusalReason::kInvalid);
}

TEST_F(InferenceStreamTest, FailsARequestThatFindsTheQueueFullWithoutWaiting) {
  StartServer();
  core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
    request->done(absl::ResourceExhaustedError("the queue is full"), RefusalReason::kQueueRequests);
  });
  ::grpc::ClientContext context;
  auto stream = Open(&context);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream->Write(Request("x")));
  stream->WritesDone();
  int refused = 0;
  for (Reply reply; stream->Read(&reply); ++refused) {
    EXPECT_EQ(reply.infer_response().parameters().at("reprise_grpc_code").int64_param(),
              ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  EXPECT_EQ(refused, 5);
  EXPECT_TRUE(stream->Finish().ok());
  ExpectCounted(absl::StatusCode::kOk, 5);
}

TEST_F(InferenceStreamTest, EndsWithTheFirstErrorWhereThatIsAskedFor) {
  StartServer();
  ::grpc::ClientContext context;
  context.AddMetadata("triton_grpc_error", "true");
  auto stream = OpenHeld(&context, {"good", "bad", "late"});
  auto held = core_.TakeHeld();
  held[1]->done(absl::NotFoundError("no such thing"), RefusalReason::kNone);
  held[0]->done(TwoNumbersPerRow(*held[0]), RefusalReason::kNone);
  EXPECT_THAT(ReadIds(*stream), ::testing::ElementsAre("good"));
  const ::grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no such thing");
  ExpectCounted(absl::StatusCode::kNotFound, 3);
  EXPECT_TRUE(held[2]->cancellation->cancelled());
  EXPECT_EQ(Counted("ModelStreamInfer", absl::StatusCode::kCancelled), 1u);
}

TEST_F(InferenceStreamTest, ReadsNoMoreThanItMayHold) {
  StartServer({.max_stream_items = 2});
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  std::vector<std::future<void>> answers;  // one reader adds to it
  core_.SetHandler([&](std::unique_ptr<InferenceRequest> request) {
    most = std::max<int>(most, ++at_once);
    answers.push_back(std::async(std::launch::async, [&, request = std::move(request)] {
      std::this_thread::sleep_for(milliseconds(1));
      --at_once;
      request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
    }));
  });
  ::grpc::ClientContext context;
  auto stream = Open(&context);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(stream->Write(Request(std::to_string(i))));
  stream->WritesDone();
  EXPECT_EQ(ReadIds(*stream).size(), 20u);
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_LE(most, 2);
  ExpectCounted(absl::StatusCode::kOk, 20);
}

TEST_F(InferenceStreamTest, TakesItsRequestsWithItWhenTheCallerGoes) {
  StartServer();
  ::grpc::ClientContext context;
  auto stream = OpenHeld(&context, {"a", "b"});
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), ::grpc::StatusCode::CANCELLED);
  ExpectCounted(absl::StatusCode::kCancelled, 2);
  EXPECT_EQ(Counted("ModelStreamInfer", absl::StatusCode::kCancelled), 2u);
  for (const auto& request : core_.TakeHeld()) EXPECT_TRUE(request->cancellation->cancelled());
}

TEST_F(InferenceStreamTest, ItsDeadlineIsThatOfItsRequests) {
  StartServer();
  ::grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(300));
  auto stream = OpenHeld(&context, {"a"});
  EXPECT_EQ(stream->Finish().error_code(), ::grpc::StatusCode::DEADLINE_EXCEEDED);
  ExpectCounted(absl::StatusCode::kDeadlineExceeded, 1);
  const auto held = core_.TakeHeld();
  EXPECT_LT(held[0]->deadline, SteadyClock::now() + seconds(1));
  EXPECT_TRUE(observer_.inferences()[0].outcome.has_deadline);
}

TEST_F(InferenceStreamTest, ItsReasonForEndingRequestsIsNotOvertakenByTheCores) {
  StartServer();
  ::grpc::ClientContext context;
  core_.AnswerCancelled();
  auto stream = OpenAndSend(&context, {"a", "b"});
  server_->Shutdown(SteadyClock::now());
  EXPECT_EQ(stream->Finish().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  ExpectCounted(absl::StatusCode::kUnavailable, 2);
  EXPECT_EQ(Counted("ModelStreamInfer", absl::StatusCode::kUnavailable), 2u);
}

TEST_F(InferenceStreamTest, ADrainLetsItsRequestsFinishAndThenEndsIt) {
  StartServer();
  ::grpc::ClientContext context;
  auto stream = OpenHeld(&context, {"a", "b"});
  server_->RefuseNew();
  EXPECT_FALSE(server_->WaitUntilIdle(SteadyClock::now()));
  core_.Release();
  EXPECT_THAT(ReadIds(*stream), ::testing::ElementsAre("a", "b"));
  EXPECT_EQ(stream->Finish().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1u);
  EXPECT_TRUE(server_->WaitUntilIdle(SteadyClock::now() + seconds(10)));
  ExpectCounted(absl::StatusCode::kUnavailable, 2);
  EXPECT_EQ(Counted("ModelStreamInfer", absl::StatusCode::kOk), 2u);
}

TEST_F(InferenceStreamTest, ADrainEndsIdleStreamsAtOnceAndTakesNoNewOnes) {
  StartServer();
  ::grpc::ClientContext context;
  auto idle = Open(&context);
  ASSERT_TRUE(idle->Write(Request("only")));
  Reply reply;
  ASSERT_TRUE(idle->Read(&reply));
  server_->RefuseNew();
  EXPECT_EQ(idle->Finish().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  ::grpc::ClientContext second;
  EXPECT_EQ(Open(&second)->Finish().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Counted("ModelStreamInfer/stream", absl::StatusCode::kUnavailable), 2u);
}

TEST_F(InferenceStreamTest, EndsWithTheServer) {
  StartServer();
  ::grpc::ClientContext context;
  auto stream = OpenHeld(&context, {"a"});
  server_->Shutdown(SteadyClock::now() + milliseconds(20));
  EXPECT_EQ(stream->Finish().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  ExpectCounted(absl::StatusCode::kUnavailable, 1);
  server_.reset();
  core_.Release();  // an answer after the end hurts nobody
  EXPECT_EQ(observer_.inferences().size(), 1u);
}

// Answers and cancellations at the same moment, from different threads.
TEST_F(InferenceStreamTest, CountsEachOnceWhoeverComesFirst) {
  StartServer({.max_stream_items = 8});
  constexpr int kStreams = 100;
  core_.Hold();
  std::atomic<bool> stop{false};
  std::thread answering([&] {
    while (!stop) core_.Release();
  });
  int answered = 0;
  for (int i = 0; i < kStreams; ++i) {
    ::grpc::ClientContext context;
    auto stream = Open(&context);
    for (int item = 0; item < 20; ++item) (void)stream->Write(Request("x"));
    Reply reply;
    for (int read = 0; read < i % 20 && stream->Read(&reply); ++read) ++answered;
    context.TryCancel();
    (void)stream->Finish();
  }
  server_->Shutdown(SteadyClock::now() + seconds(10));
  stop = true;
  answering.join();
  std::size_t items = 0;
  std::size_t streams = 0;
  for (const auto& rpc : observer_.rpcs()) {
    if (rpc.method == "ModelStreamInfer") ++items;
    if (rpc.method == "ModelStreamInfer/stream") ++streams;
  }
  EXPECT_EQ(items, observer_.inferences().size());
  EXPECT_LE(streams, static_cast<std::size_t>(kStreams));
  EXPECT_GT(answered, 0);
  EXPECT_GE(items, static_cast<std::size_t>(answered));
}

}  // namespace
}  // namespace reprise::server::grpc
