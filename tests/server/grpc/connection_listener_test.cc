#include "server/grpc/connection_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/request/mutex.h"
#include "tests/server/grpc/server_fixture.h"
#include "tests/status_matchers.h"

namespace reprise::server::grpc::testing {
namespace {

using reprise::testing::IsOk;
using reprise::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int kAnyNumber = 1 << 20;

// Keeps the connections that it is handed, and closes them when it goes.
class Keeper {
 public:
  using Acceptor = ::grpc::experimental::ExternalConnectionAcceptor;

  ~Keeper() {
    for (const int connection : kept_) close(connection);
  }
  std::unique_ptr<Acceptor> acceptor() { return std::make_unique<Hand>(*this); }
  std::size_t kept() {
    MutexLock lock(mutex_);
    return kept_.size();
  }

 private:
  class Hand final : public Acceptor {
   public:
    explicit Hand(Keeper& keeper) : keeper_(keeper) {}
    void HandleNewConnection(NewConnectionParameters* made) override {
      MutexLock lock(keeper_.mutex_);
      keeper_.kept_.push_back(made->fd);
    }

   private:
    Keeper& keeper_;
  };

  Mutex mutex_;
  std::vector<int> kept_ ABSL_GUARDED_BY(mutex_);
};

// A client's side of a connection.
class Client {
 public:
  explicit Client(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  // Waits for what the server says; true when it is the end.
  bool IsClosedByServer() const {
    char byte;
    return recv(socket_, &byte, 1, 0) <= 0;
  }

 private:
  const int socket_;
  bool connected_ = false;
};

TEST(ConnectionListener, HandsOverConnectionsAlsoThoseMadeBeforeItStarted) {
  Keeper keeper;
  const auto listener = ConnectionListener::Open("127.0.0.1", 0, kAnyNumber);
  ASSERT_THAT(listener, IsOk());
  const Client early((*listener)->port());
  EXPECT_TRUE(early.connected());
  (*listener)->Start(keeper.acceptor());
  const Client late((*listener)->port());
  EXPECT_TRUE(Eventually([&] { return keeper.kept() == 2; }));
}

TEST(ConnectionListener, ListensOnBothKindsOfAddressUnderOnePort) {
  for (const char* host : {"localhost", "0.0.0.0", "127.0.0.1"}) {
    const auto listener = ConnectionListener::Open(host, 0, kAnyNumber);
    ASSERT_THAT(listener, IsOk()) << host;
    EXPECT_GT((*listener)->port(), 0);
    EXPECT_TRUE(Client((*listener)->port()).connected()) << host;
  }
}

TEST(ConnectionListener, APortThatIsTakenIsAnError) {
  const auto first = ConnectionListener::Open("127.0.0.1", 0, kAnyNumber);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(ConnectionListener::Open("127.0.0.1", (*first)->port(), kAnyNumber),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another process")));
  EXPECT_THAT(ConnectionListener::Open("no-such-host.invalid", 0, kAnyNumber),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no-such-host")));
}

TEST(ConnectionListener, AfterCloseNobodyConnects) {
  Keeper keeper;
  const auto listener = ConnectionListener::Open("127.0.0.1", 0, kAnyNumber);
  ASSERT_THAT(listener, IsOk());
  const int port = (*listener)->port();
  (*listener)->Start(keeper.acceptor());
  (*listener)->Close();
  EXPECT_FALSE(Client(port).connected());
}

TEST(ConnectionListener, BeyondTheLimitConnectionsAreClosedAndLaterOnesAreTakenAgain) {
  const int unused = dup(STDERR_FILENO);
  close(unused);
  Keeper keeper;
  // The listener takes two descriptors, each client one and its connection one.
  const auto listener = ConnectionListener::Open("127.0.0.1", 0, unused + 10);
  ASSERT_THAT(listener, IsOk());
  (*listener)->Start(keeper.acceptor());
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>((*listener)->port()));
  EXPECT_TRUE(clients.back()->IsClosedByServer());
  EXPECT_LT(keeper.kept(), 10u);
  clients.clear();
  const std::size_t before = keeper.kept();
  Client again((*listener)->port());
  EXPECT_TRUE(Eventually([&] { return keeper.kept() == before + 1; }));
  (*listener)->Close();
}

class ListeningServer : public ServerFixture {};

TEST_F(ListeningServer, KnowsWhereACallComesFrom) {
  std::string key;
  core_.SetHandler([&key](std::unique_ptr<InferenceRequest> request) {
    key = request->client_key;
    request->done(TwoNumbersPerRow(*request), RefusalReason::kNone);
  });
  StartServer();
  inference::ModelInferResponse response;
  EXPECT_TRUE(Infer(InferRequest(), &response).ok());
  EXPECT_EQ(key, "ipv4:127.0.0.1");
}

}  // namespace
}  // namespace reprise::server::grpc::testing
