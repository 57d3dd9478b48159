#include "server/http/http_server.h"

#include <string>
#include <thread>
#include <vector>

#include "tests/server/http/server_fixture.h"

namespace reprise::server::http {
namespace {

using ::reprise::testing::StatusIs;
using testing::Eventually;
using testing::Get;
using ::testing::HasSubstr;
using testing::kInfer;
using testing::kInferBody;
using testing::kInferReply;
using testing::milliseconds;
using testing::Post;
using testing::RawClient;
using testing::RawResponse;
using testing::seconds;

class HttpServerTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer(); }
};

TEST_F(HttpServerTest, APortThatIsTakenIsAnError) {
  HttpServerOptions options;
  options.port = server_->port();
  const auto second = HttpServer::Start(options, MakeBackend());
  EXPECT_THAT(second.status(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                        HasSubstr(std::to_string(options.port))));
}

TEST_F(HttpServerTest, AnAddressThatIsNotOursIsAnError) {
  HttpServerOptions options;
  options.port = 0;
  options.host = "192.0.2.1";
  EXPECT_THAT(HttpServer::Start(options, MakeBackend()).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("192.0.2.1")));
}

TEST_F(HttpServerTest, OptionsOutOfRangeAreNamed) {
  const auto complaint = [](void (*change)(HttpServerOptions&)) {
    HttpServerOptions options;
    change(options);
    return Validate(options);
  };
  const auto names = [](const char* field) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field));
  };
  EXPECT_THAT(complaint([](HttpServerOptions& o) { o.host = ""; }), names("host"));
  EXPECT_THAT(complaint([](HttpServerOptions& o) { o.port = 65536; }), names("port"));
  EXPECT_THAT(complaint([](HttpServerOptions& o) { o.threads = 0; }), names("threads"));
  EXPECT_THAT(complaint([](HttpServerOptions& o) { o.max_connections = 0; }),
              names("max_connections"));
  EXPECT_THAT(complaint([](HttpServerOptions& o) { o.max_header_bytes = 10; }),
              names("max_header_bytes"));
  EXPECT_THAT(complaint([](HttpServerOptions& o) { o.io_timeout = milliseconds(0); }),
              names("io_timeout"));
  EXPECT_THAT(complaint([](HttpServerOptions& o) { o.body_memory_bytes = 0; }),
              names("body_memory_bytes"));
}

TEST_F(HttpServerTest, ADrainingServerServesOnButEndsItsConnections) {
  RawClient client(server_->port());
  client.Send(Get("/v2/health/live"));
  EXPECT_EQ(client.Receive().status, 200);
  server_->BeginDrain();
  client.Send(Post(kInfer, kInferBody));
  const RawResponse last = client.Receive();
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.headers.at("connection"), "close");
  EXPECT_TRUE(client.AwaitEnd());
  EXPECT_EQ(Ask(Get("/v2/health/ready")).status, 503);
  EXPECT_EQ(Ask(Get("/v2/health/live")).status, 200);
}

TEST_F(HttpServerTest, RefusedInferencesAreSentElsewhere) {
  server_->BeginDrain();
  server_->RefuseNew();
  const RawResponse refused = Ask(Post(kInfer, kInferBody));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_THAT(refused.body, HasSubstr("call another replica"));
  EXPECT_EQ(observer_.inferences().at(0).outcome.refusal, RefusalReason::kDraining);
  EXPECT_EQ(Ask(Get("/v2/health/live")).status, 200);
}

TEST_F(HttpServerTest, ShutdownWaitsForWhatIsUnderWay) {
  core_.Hold();
  RawClient client(server_->port());
  ASSERT_TRUE(SendAndAwaitCore(client));
  EXPECT_FALSE(server_->WaitUntilIdle(SteadyClock::now()));
  std::thread stopping([&] { server_->Shutdown(SteadyClock::now() + seconds(10)); });
  core_.Release();
  const RawResponse response = client.Receive();
  EXPECT_EQ(response.body, kInferReply);
  stopping.join();
  EXPECT_TRUE(client.AwaitEnd());
}

TEST_F(HttpServerTest, ShutdownEndsWhatTakesTooLong) {
  core_.Hold();
  RawClient client(server_->port());
  ASSERT_TRUE(SendAndAwaitCore(client));
  server_->Shutdown(SteadyClock::now());
  const RawResponse response = client.Receive();
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, HasSubstr("the server stopped"));
  const auto held = core_.TakeHeld();
  EXPECT_TRUE(held[0]->cancellation->cancelled());
  held[0]->done(testing::TwoNumbersPerRow(*held[0]), RefusalReason::kNone);  // nobody is left
  EXPECT_EQ(observer_.rpcs().size(), 1u);
}

TEST_F(HttpServerTest, ItsReasonForEndingAnInferenceIsNotOvertakenByTheCores) {
  core_.AnswerCancelled();
  RawClient client(server_->port());
  ASSERT_TRUE(SendAndAwaitCore(client));
  server_->Shutdown(SteadyClock::now());
  EXPECT_EQ(client.Receive().status, 503);
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.inferences()[0].outcome.code, absl::StatusCode::kUnavailable);
}

TEST_F(HttpServerTest, ShutdownDoesNotWaitForIdleOrHalfReadConnections) {
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 100; ++i) idle.push_back(std::make_unique<RawClient>(server_->port()));
  for (auto& client : idle) {
    client->Send(Get("/v2/health/live"));
    EXPECT_EQ(client->Receive().status, 200);
  }
  const auto begin = SteadyClock::now();
  server_->Shutdown(SteadyClock::now() + seconds(10));
  EXPECT_LT(SteadyClock::now() - begin, milliseconds(900));
  for (auto& client : idle) EXPECT_TRUE(client->AwaitEnd());
}

TEST_F(HttpServerTest, AConnectionInTheMiddleOfARequestIsCutOffAtLast) {
  RawClient client(server_->port());
  client.Send("POST /v2/models/demo/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n");
  client.Send("Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 100);  // so the server has begun to read it
  server_->Shutdown(SteadyClock::now());
  EXPECT_FALSE(RawClient(server_->port()).connected());
  EXPECT_TRUE(client.AwaitEnd());
}

using HttpServerAccessTest = testing::ServerFixture;

TEST_F(HttpServerAccessTest, AClosedGroupIsRefusedBeforeItsBodyIsRead) {
  security::AccessRules rules(/*have_tokens=*/false);
  rules.Set(security::MethodGroup::kInference, security::AccessRule::kClosed);
  const security::AccessControl access(rules);
  HttpServerOptions options;
  options.port = 0;
  auto server =
      HttpServer::Start(options, MakeBackend(), {.certificates = nullptr, .access = &access});
  ASSERT_THAT(server, reprise::testing::IsOk());
  RawClient client((*server)->port());
  client.Send("POST /v2/models/demo/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 403);
  ASSERT_EQ(observer_.inferences().size(), 1u);
  EXPECT_EQ(observer_.inferences()[0].outcome.code, absl::StatusCode::kPermissionDenied);
}

TEST_F(HttpServerTest, AnswersOnManyConnectionsAtOnce) {
  constexpr int kClients = 16;
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&] {
      RawClient client(server_->port());
      for (int round = 0; round < 50; ++round) {
        client.Send(Post(kInfer, kInferBody));
        right += client.Receive().body == kInferReply ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kClients * 50);
  EXPECT_EQ(observer_.rpcs().size(), static_cast<std::size_t>(kClients * 50));
}

}  // namespace
}  // namespace reprise::server::http
