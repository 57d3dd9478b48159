#include "server/http/connection.h"

#include <memory>
#include <string>
#include <vector>

#include "tests/server/http/server_fixture.h"

namespace reprise::server::http {
namespace {

using testing::Eventually;
using testing::Get;
using testing::kInfer;
using testing::kInferBody;
using testing::kInferReply;
using testing::milliseconds;
using testing::Post;
using testing::RawClient;
using testing::RawResponse;
using testing::seconds;

class ConnectionTest : public testing::ServerFixture {
 protected:
  static HttpServerOptions Hasty() {
    HttpServerOptions options;
    options.idle_timeout = milliseconds(100);
    options.io_timeout = milliseconds(100);
    return options;
  }
};

TEST_F(ConnectionTest, AnswersManyRequestsOneAfterAnother) {
  StartServer();
  RawClient client(server_->port());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client.Send(i % 2 == 0 ? Post(kInfer, kInferBody) : Get("/v2/health/live")));
    const RawResponse response = client.Receive();
    ASSERT_EQ(response.status, 200);
    EXPECT_EQ(response.body, i % 2 == 0 ? kInferReply : R"({"live":true})");
    EXPECT_FALSE(response.headers.contains("connection"));
  }
}

TEST_F(ConnectionTest, AnswersPipelinedRequestsInTheirOrder) {
  StartServer();
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += Post(kInfer, absl::StrCat(R"({"id":")", i, R"(","inputs":[]})"));
    requests += Get("/v2/health/live");
  }
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send(requests));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(nlohmann::json::parse(client.Receive().body)["id"], std::to_string(i));
    EXPECT_EQ(client.Receive().body, R"({"live":true})");
  }
}

TEST_F(ConnectionTest, ReadsOnlySoFarAheadOfARequestAtWork) {
  StartServer();
  core_.Hold();
  RawClient client(server_->port());
  ASSERT_TRUE(SendAndAwaitCore(client));
  for (int i = 0; i < 2000; ++i) client.Send(Get("/v2/health/live"));
  core_.SetHandler(nullptr);
  core_.Release();
  EXPECT_EQ(client.Receive().body, kInferReply);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(client.Receive().body, R"({"live":true})");
}

TEST_F(ConnectionTest, ReadsRequestsInPiecesOfAnySize) {
  StartServer();
  const std::string request = Post(kInfer, kInferBody);
  RawClient client(server_->port());
  for (const std::size_t piece : {1, 2, 7, 100}) {
    for (std::size_t i = 0; i < request.size(); i += piece) client.Send(request.substr(i, piece));
    EXPECT_EQ(client.Receive().body, kInferReply);
  }
}

TEST_F(ConnectionTest, ReadsChunkedBodies) {
  StartServer();
  const std::string head =
      absl::StrCat("POST ", kInfer, " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string body = kInferBody;
  std::string chunks;
  for (const char c : body) chunks += absl::StrCat("1;ext=\"x\"\r\n", std::string(1, c), "\r\n");
  RawClient client(server_->port());
  client.Send(head + chunks + "0\r\nTrailer: x\r\n\r\n" + Get("/v2/health/live"));
  EXPECT_EQ(client.Receive().body, kInferReply);
  EXPECT_EQ(client.Receive().body, R"({"live":true})");
}

TEST_F(ConnectionTest, AsksForABodyThatIsHeldBack) {
  StartServer();
  RawClient client(server_->port());
  const std::string request = Post(kInfer, kInferBody, "Expect: 100-Continue\r\n");
  const std::size_t head = request.size() - (sizeof(kInferBody) - 1);
  client.Send(request.substr(0, head));
  EXPECT_EQ(client.Receive().status, 100);
  client.Send(request.substr(head));
  EXPECT_EQ(client.Receive().body, kInferReply);
}

TEST_F(ConnectionTest, DoesNotAskForABodyItWillNotTake) {
  StartServer();
  RawClient client(server_->port());
  client.Send(absl::StrCat("POST ", kInfer, " HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999",
                           "\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.Receive().status, 413);
  EXPECT_TRUE(client.AwaitEnd());
}

TEST_F(ConnectionTest, AnswersHeadWithoutABody) {
  StartServer();
  RawClient client(server_->port());
  client.Send("HEAD /v2/health/live HTTP/1.1\r\nHost: h\r\n\r\n" + Get("/v2/health/ready"));
  const RawResponse head = client.Receive(/*with_body=*/false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "13");
  EXPECT_EQ(client.Receive().body, R"({"ready":true})");
}

TEST_F(ConnectionTest, KeepsOrEndsTheConnectionAsTheClientSays) {
  StartServer();
  RawClient closing(server_->port());
  closing.Send(Get("/v2/health/live", "Connection: close\r\n"));
  EXPECT_EQ(closing.Receive().headers.at("connection"), "close");
  EXPECT_TRUE(closing.AwaitEnd());
  RawClient old(server_->port());
  old.Send("GET /v2/health/live HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.Receive().headers.at("connection"), "close");
  EXPECT_TRUE(old.AwaitEnd());
  RawClient old_keeping(server_->port());
  for (int i = 0; i < 2; ++i) {
    old_keeping.Send("GET /v2/health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(old_keeping.Receive().headers.at("connection"), "keep-alive");
  }
}

TEST_F(ConnectionTest, AnErrorLeavesTheConnectionUsableWhenTheRequestWasRead) {
  StartServer();
  RawClient client(server_->port());
  client.Send(Post(kInfer, "{"));
  EXPECT_EQ(client.Receive().status, 400);
  client.Send(Get("/nowhere"));
  EXPECT_EQ(client.Receive().status, 404);
  client.Send(Post(kInfer, kInferBody));
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(ConnectionTest, TheAnswerToABodyThatIsNotReadArrives) {
  HttpServerOptions options;
  options.max_receive_bytes = 1000;
  StartServer(options);
  for (int i = 0; i < 20; ++i) {
    RawClient client(server_->port());
    client.Send(Post(kInfer, std::string(std::size_t{4} << 20, ' ')));
    EXPECT_EQ(client.Receive().status, 413);
  }
}

TEST_F(ConnectionTest, EndsSilentConnections) {
  StartServer(Hasty());
  RawClient never(server_->port());
  RawClient once(server_->port());
  once.Send(Get("/v2/health/live"));
  EXPECT_EQ(once.Receive().status, 200);
  EXPECT_TRUE(never.AwaitEnd());
  EXPECT_TRUE(once.AwaitEnd());
  EXPECT_EQ(observer_.rpcs().size(), 1u);
}

TEST_F(ConnectionTest, TellsSlowClientsThatTheyAre) {
  StartServer(Hasty());
  RawClient slow_head(server_->port());
  slow_head.Send("GET /v2 HT");
  EXPECT_EQ(slow_head.Receive().status, 408);
  EXPECT_TRUE(slow_head.AwaitEnd());
  RawClient slow_body(server_->port());
  slow_body.Send(Post(kInfer, kInferBody).substr(0, 80));
  EXPECT_EQ(slow_body.Receive().status, 408);
  EXPECT_THAT(observer_.rpcs(),
              ::testing::ElementsAre(Counted("_unknown", absl::StatusCode::kDeadlineExceeded),
                                     Counted("ModelInfer", absl::StatusCode::kDeadlineExceeded)));
}

TEST_F(ConnectionTest, ADripOfBytesDoesNotHoldAConnection) {
  StartServer(Hasty());
  RawClient client(server_->port());
  client.Send(Post(kInfer, kInferBody).substr(0, 80));
  const auto begin = SteadyClock::now();
  while (SteadyClock::now() < begin + seconds(10) && observer_.rpcs().empty()) {
    client.Send(" ");
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_LT(SteadyClock::now() - begin, seconds(5));
  EXPECT_EQ(client.Receive().status, 408);
}

TEST_F(ConnectionTest, AClientThatDoesNotReadIsLetGo) {
  core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
    InferenceReply reply = testing::TwoNumbersPerRow(*request);
    reply.id = std::string(std::size_t{32} << 20, 'i');
    request->done(std::move(reply), RefusalReason::kNone);
  });
  HttpServerOptions options = Hasty();
  options.io_timeout = milliseconds(1);  // and 2048 s for the 32 MiB, so the client has to go
  StartServer(options);
  auto client = std::make_unique<RawClient>(server_->port());
  client->Send(Post(kInfer, kInferBody));
  ASSERT_TRUE(Eventually([&] { return observer_.rpcs().size() == 1; }));
  EXPECT_FALSE(server_->WaitUntilIdle(SteadyClock::now() + milliseconds(20)));
  client.reset();
  EXPECT_TRUE(server_->WaitUntilIdle(SteadyClock::now() + seconds(10)));
}

TEST_F(ConnectionTest, TurnsAwayMoreConnectionsThanThereMayBe) {
  HttpServerOptions options;
  options.max_connections = 2;
  StartServer(options);
  auto first = std::make_unique<RawClient>(server_->port());
  RawClient second(server_->port());
  first->Send(Get("/v2/health/live"));
  EXPECT_EQ(first->Receive().status, 200);
  second.Send(Get("/v2/health/live"));
  EXPECT_EQ(second.Receive().status, 200);
  RawClient third(server_->port());
  const RawResponse refused = third.Receive();
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, ::testing::HasSubstr("--http-max-connections"));
  EXPECT_TRUE(nlohmann::json::accept(refused.body));
  first.reset();
  EXPECT_TRUE(Eventually([&] {
    RawClient again(server_->port());
    again.Send(Get("/v2/health/live"));
    return again.Receive().status == 200;
  }));
}

TEST_F(ConnectionTest, BodiesTakeNoMoreThanTheirMemory) {
  HttpServerOptions options;
  options.body_memory_bytes = 100'000;
  StartServer(options);
  const std::string fits = Post(kInfer, std::string(90'000, ' ') + kInferBody);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask(fits).status, 200);  // it is given back each time
  const RawResponse refused = Ask(Post(kInfer, std::string(200'000, ' ') + kInferBody));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_THAT(refused.body, ::testing::HasSubstr("--http-memory-bytes"));
  EXPECT_EQ(Ask(fits).status, 200);
}

TEST(BodyBudgetTest, IsSharedAndGivenBack) {
  BodyBudget budget(100);
  BodyShare one(budget);
  EXPECT_THAT(one.Grow(60), reprise::testing::IsOk());
  {
    BodyShare other(budget);
    EXPECT_THAT(other.Grow(40), reprise::testing::IsOk());
    EXPECT_EQ(other.Grow(1).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(budget.used(), 100);
  }
  EXPECT_THAT(one.Grow(40), reprise::testing::IsOk());
  one.Reset();
  EXPECT_EQ(budget.used(), 0);
}

TEST_F(ConnectionTest, TakesTheCallersNameFromAHeader) {
  HttpServerOptions options;
  options.client_key_header = "x-tenant";
  StartServer(options);
  core_.Hold();
  RawClient client(server_->port());
  client.Send(Post(kInfer, kInferBody, "X-Tenant: blue\r\n"));
  ASSERT_TRUE(Eventually([&] { return core_.held() == 1; }));
  EXPECT_EQ(core_.TakeHeld()[0]->client_key, "blue");
}

}  // namespace
}  // namespace reprise::server::http
