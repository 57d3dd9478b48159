#include "server/grpc/health_service.h"

#include <memory>
#include <vector>

#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;
using ::grpc::health::v1::HealthListResponse;
using testing::Eventually;
using testing::seconds;

class HealthServiceTest : public testing::ServerFixture {
 protected:
  struct Watcher {
    ::grpc::ClientContext context;
    std::unique_ptr<::grpc::ClientReader<HealthCheckResponse>> reader;

    HealthCheckResponse::ServingStatus Next() {
      HealthCheckResponse response;
      EXPECT_TRUE(reader->Read(&response));
      return response.status();
    }
  };

  std::unique_ptr<Watcher> Watch(const std::string& name) {
    auto watcher = std::make_unique<Watcher>();
    HealthCheckRequest request;
    request.set_service(name);
    watcher->reader = health_->Watch(&watcher->context, request);
    return watcher;
  }
};

TEST_F(HealthServiceTest, IsNotServingFromTheFirstMoment) {
  core_.SetReady(false);
  StartServer();
  EXPECT_EQ(Health(""), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("readiness"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("startup"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("demo"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("liveness"), HealthCheckResponse::SERVING);
}

TEST_F(HealthServiceTest, ServesOnceModelsAreReady) {
  StartServer();
  for (const char* name : {"", "readiness", "startup", "liveness", "demo"}) {
    EXPECT_EQ(Health(name), HealthCheckResponse::SERVING) << name;
  }
}

TEST_F(HealthServiceTest, StartupStaysTrueWithoutBeingAsked) {
  StartServer();
  // The notifier saw readiness; give it two of its intervals.
  std::this_thread::sleep_for(testing::milliseconds(250));
  core_.SetReady(false);
  EXPECT_EQ(Health("startup"), HealthCheckResponse::SERVING);
  EXPECT_EQ(Health("readiness"), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, LivenessFollowsTheHeartbeatOnly) {
  core_.SetReady(false);
  StartServer();
  alive_ = false;
  EXPECT_EQ(Health("liveness"), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, CheckOfAnUnknownNameIsNotFound) {
  StartServer();
  HealthCheckRequest request;
  request.set_service("nobody");
  HealthCheckResponse response;
  ::grpc::ClientContext context;
  EXPECT_EQ(health_->Check(&context, request, &response).error_code(),
            ::grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthServiceTest, ListsEveryName) {
  StartServer();
  HealthListResponse response;
  ::grpc::ClientContext context;
  ASSERT_TRUE(health_->List(&context, {}, &response).ok());
  EXPECT_EQ(response.statuses().at("").status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(response.statuses().at("demo").status(), HealthCheckResponse::SERVING);
  EXPECT_TRUE(response.statuses().contains("liveness"));
}

TEST_F(HealthServiceTest, WatchTellsOfChanges) {
  core_.SetReady(false);
  StartServer();
  auto watcher = Watch("readiness");
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::NOT_SERVING);
  core_.SetReady(true);
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::SERVING);
  server_->BeginDrain();
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, WatchOfAnUnknownNameStaysOpen) {
  StartServer();
  auto watcher = Watch("nobody");
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::SERVICE_UNKNOWN);
  watcher->context.TryCancel();
  EXPECT_EQ(watcher->reader->Finish().error_code(), ::grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return observer_.rpcs().size() == 1; }));
  EXPECT_EQ(observer_.rpcs()[0].method, "Health/Watch");
  EXPECT_EQ(observer_.rpcs()[0].code, absl::StatusCode::kCancelled);
}

TEST_F(HealthServiceTest, AHundredOpenWatchesDoNotHoldUpTheEnd) {
  StartServer();
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < 100; ++i) {
    watchers.push_back(Watch(i % 2 == 0 ? "readiness" : "demo"));
    EXPECT_EQ(watchers.back()->Next(), HealthCheckResponse::SERVING);
  }
  const auto start = SteadyClock::now();
  server_->BeginDrain();
  server_->Shutdown(start + seconds(30));
  EXPECT_LT(SteadyClock::now() - start, seconds(1));
  for (auto& watcher : watchers) {
    HealthCheckResponse response;
    while (watcher->reader->Read(&response)) {
    }
    EXPECT_EQ(watcher->reader->Finish().error_code(), ::grpc::StatusCode::UNAVAILABLE);
  }
  EXPECT_EQ(observer_.rpcs().size(), 100u);
}

}  // namespace
}  // namespace reprise::server::grpc
