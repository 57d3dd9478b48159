#include "server/http/inference.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "server/http/content_coding.h"
#include "tests/server/http/server_fixture.h"

namespace reprise::server::http {
namespace {

using testing::Eventually;
using testing::kInfer;
using testing::kInferBody;
using testing::kInferReply;
using testing::milliseconds;
using testing::Post;
using testing::RawClient;
using testing::RawResponse;
using testing::seconds;

class InferenceTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer(); }
  // Answers with this instead of a result.
  void Refuse(absl::Status status, RefusalReason refusal) {
    core_.SetHandler([status, refusal](std::unique_ptr<InferenceRequest> request) {
      request->done(status, refusal);
    });
  }
};

TEST_F(InferenceTest, IsAnsweredAndReported) {
  const RawResponse response = Ask(Post(kInfer, kInferBody));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, kInferReply);
  EXPECT_THAT(observer_.rpcs(),
              ::testing::ElementsAre(Counted("ModelInfer", absl::StatusCode::kOk)));
  ASSERT_EQ(observer_.inferences().size(), 1u);
  const auto inference = observer_.inferences()[0];
  EXPECT_EQ(inference.model, "demo");
  EXPECT_EQ(inference.version, "3");
  EXPECT_EQ(inference.outcome.rows, 1);
  EXPECT_EQ(inference.outcome.tokens, 5);
  EXPECT_GT(inference.outcome.duration.count(), 0);
  EXPECT_GT(inference.outcome.decode.count(), 0);
  EXPECT_GT(inference.outcome.encode.count(), 0);
  EXPECT_FALSE(inference.outcome.has_deadline);
}

TEST_F(InferenceTest, TellsTheCoreWhoAsksForWhat) {
  core_.Hold();
  RawClient client(server_->port());
  client.Send(Post("/v2/models/demo/versions/3/infer",
                   R"({"parameters":{"timeout":60000000},"inputs":[]})"));
  ASSERT_TRUE(Eventually([&] { return core_.held() == 1; }));
  const auto held = core_.TakeHeld();
  EXPECT_EQ(held[0]->model_name, "demo");
  EXPECT_EQ(held[0]->model_version, "3");
  EXPECT_EQ(held[0]->client_key, "ipv4:127.0.0.1");
  EXPECT_EQ(held[0]->deadline, held[0]->arrival + seconds(60));
}

TEST_F(InferenceTest, TakesBinaryInputsAndGivesBinaryOutputs) {
  const std::string json =
      R"({"inputs":[{"name":"input_ids","datatype":"INT64","shape":[1,2],)"
      R"("parameters":{"binary_data_size":16}}],"parameters":{"binary_data_output":true}})";
  const std::string header = absl::StrCat("inference-header-content-length: ", json.size(), "\r\n");
  const RawResponse response = Ask(Post(kInfer, json + std::string(16, '\1'), header));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.at("content-type"), "application/octet-stream");
  const std::size_t length = std::stoul(response.headers.at("inference-header-content-length"));
  const auto output = nlohmann::json::parse(response.body.substr(0, length))["outputs"][0];
  EXPECT_EQ(output["parameters"]["binary_data_size"], 8);
  const float expected[] = {0.5f, 1.5f};
  EXPECT_EQ(response.body.substr(length),
            std::string(reinterpret_cast<const char*>(expected), sizeof(expected)));
}

TEST_F(InferenceTest, ReadsAndWritesCompressedBodies) {
  core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
    InferenceReply reply = testing::TwoNumbersPerRow(*request);
    reply.id = std::string(2000, 'i');
    request->done(std::move(reply), RefusalReason::kNone);
  });
  const std::string plain = Ask(Post(kInfer, kInferBody)).body;
  for (const ContentCoding coding : {ContentCoding::kGzip, ContentCoding::kDeflate}) {
    const std::string name(Name(coding));
    const RawResponse response =
        Ask(Post(kInfer, Deflate({kInferBody}, coding),
                 absl::StrCat("Content-Encoding: ", name, "\r\nAccept-Encoding: ", name, "\r\n")));
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.headers.at("content-encoding"), name);
    EXPECT_LT(response.body.size(), plain.size());
    EXPECT_EQ(*Inflate(response.body, coding, [](std::int64_t) { return absl::OkStatus(); }),
              plain);
  }
}

TEST_F(InferenceTest, ErrorsOfTheCoreHaveTheirStatusAndHint) {
  Refuse(absl::ResourceExhaustedError("the queue is full"), RefusalReason::kQueueRequests);
  const RawResponse full = Ask(Post(kInfer, kInferBody));
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.headers.at("retry-after"), "1");
  EXPECT_EQ(full.body, R"({"error":"the queue is full"})");
  Refuse(absl::DeadlineExceededError("late"), RefusalReason::kDeadline);
  EXPECT_EQ(Ask(Post(kInfer, kInferBody)).status, 504);
  Refuse(absl::UnavailableError("loading"), RefusalReason::kNone);
  EXPECT_EQ(Ask(Post(kInfer, kInferBody)).status, 503);
  Refuse(absl::InternalError("broken"), RefusalReason::kNone);
  EXPECT_EQ(Ask(Post(kInfer, kInferBody)).status, 500);
  EXPECT_EQ(observer_.inferences()[0].outcome.refusal, RefusalReason::kQueueRequests);
  EXPECT_EQ(observer_.inferences().size(), 4u);
}

TEST_F(InferenceTest, ABodyThatIsRefusedIsReportedAsAnInference) {
  EXPECT_EQ(Ask(Post(kInfer, "{")).status, 400);
  EXPECT_EQ(Ask(Post(kInfer, kInferBody, "Content-Encoding: br\r\n")).status, 415);
  ASSERT_EQ(observer_.inferences().size(), 2u);
  for (const auto& inference : observer_.inferences()) {
    EXPECT_EQ(inference.model, "demo");
    EXPECT_EQ(inference.outcome.code, absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(inference.outcome.refusal, RefusalReason::kInvalid);
  }
  EXPECT_EQ(observer_.rpcs().size(), 2u);
}

TEST_F(InferenceTest, AClientThatGoesCancelsItsRequest) {
  core_.Hold();
  RawClient client(server_->port());
  ASSERT_TRUE(SendAndAwaitCore(client));
  client.Close();
  ASSERT_TRUE(Eventually([&] { return observer_.inferences().size() == 1; }));
  EXPECT_EQ(observer_.inferences()[0].outcome.code, absl::StatusCode::kCancelled);
  EXPECT_EQ(observer_.rpcs()[0], Counted("ModelInfer", absl::StatusCode::kCancelled));
  const auto held = core_.TakeHeld();
  EXPECT_TRUE(held[0]->cancellation->cancelled());
  // An answer that comes after all finds nobody.
  held[0]->done(testing::TwoNumbersPerRow(*held[0]), RefusalReason::kNone);
  EXPECT_EQ(Ask(testing::Get("/v2/health/live")).status, 200);
  EXPECT_EQ(observer_.inferences().size(), 1u);
}

TEST_F(InferenceTest, AClientThatGoesInTheMiddleOfItsBodyIsCountedToo) {
  {
    RawClient client(server_->port());
    const std::string request = Post(kInfer, kInferBody);
    client.Send(request.substr(0, request.size() - 10));
  }
  ASSERT_TRUE(Eventually([&] { return observer_.rpcs().size() == 1; }));
  EXPECT_EQ(observer_.rpcs()[0], Counted("ModelInfer", absl::StatusCode::kCancelled));
  EXPECT_EQ(observer_.inferences().size(), 1u);
}

// Answers, clients that go, and the next request of the same connection, all at the same moment.
TEST_F(InferenceTest, EndsOnceWhoeverComesFirst) {
  constexpr int kRounds = 200;
  constexpr int kAtOnce = 8;
  core_.Hold();
  std::atomic<bool> stop{false};
  std::thread answering([&] {
    while (!stop) core_.Release();
  });
  int answered = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < kAtOnce; ++i) {
      clients.push_back(std::make_unique<RawClient>(server_->port()));
      clients.back()->Send(Post(kInfer, kInferBody));
    }
    // A little later for each round, so that the race is lost and won at every stage.
    std::this_thread::sleep_for(std::chrono::microseconds(3 * round));
    for (int i = 0; i < kAtOnce; i += 2) clients[i]->Close();
    for (int i = 1; i < kAtOnce; i += 2) answered += clients[i]->Receive().status == 200 ? 1 : 0;
  }
  EXPECT_EQ(answered, kRounds * kAtOnce / 2);
  EXPECT_TRUE(server_->WaitUntilIdle(SteadyClock::now() + seconds(10)));
  server_->Shutdown(SteadyClock::now() + seconds(10));
  stop = true;
  answering.join();
  EXPECT_EQ(observer_.rpcs().size(), observer_.inferences().size());
  EXPECT_LE(observer_.rpcs().size(), static_cast<std::size_t>(kRounds * kAtOnce));
  EXPECT_GE(observer_.rpcs().size(), static_cast<std::size_t>(answered));
}

}  // namespace
}  // namespace reprise::server::http
