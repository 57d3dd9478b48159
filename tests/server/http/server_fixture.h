// A real HTTP server on a free loopback port in front of a fake core.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/http/http_server.h"
#include "tests/eventually.h"
#include "tests/server/fakes/fake_core.h"
#include "tests/server/fakes/fake_log.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/server/fakes/fake_statistics.h"
#include "tests/server/http/raw_client.h"
#include "tests/status_matchers.h"

namespace reprise::server::http::testing {

using reprise::testing::Eventually;
using server::testing::FakeCore;
using server::testing::TwoNumbersPerRow;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr char kInfer[] = "/v2/models/demo/infer";
// One row [7, 8] for `demo`.
inline constexpr char kInferBody[] =
    R"({"id":"mine","inputs":[{"name":"input_ids","datatype":"INT64","shape":[1,2],"data":[7,8]}]})";
// What the fake core answers to it.
inline constexpr char kInferReply[] =
    R"({"model_name":"demo","model_version":"3","id":"mine","outputs":[)"
    R"({"name":"sentence_embedding","datatype":"FP32","shape":[1,2],"data":[0.5,1.5]}]})";

class ServerFixture : public ::testing::Test {
 protected:
  using Rpc = server::testing::FakeObserver::Rpc;

  void StartServer(HttpServerOptions options = {}) {
    options.port = 0;
    auto server = HttpServer::Start(options, MakeBackend());
    ASSERT_THAT(server, reprise::testing::IsOk());
    server_ = *std::move(server);
  }

  Backend MakeBackend() {
    return {.core = core_,
            .observer = observer_,
            .statistics = statistics_,
            .log = log_,
            .alive = [this] { return alive_.load(); }};
  }

  // The answer on a connection of its own.
  RawResponse Ask(const std::string& request) {
    RawClient client(server_->port());
    client.Send(request);
    return client.Receive(!request.starts_with("HEAD"));
  }

  // Sends an inference, the core's first, and waits until the core has it.
  bool SendAndAwaitCore(RawClient& client) {
    client.Send(Post(kInfer, kInferBody));
    return Eventually([this] { return core_.held() == 1; });
  }

  static Rpc Counted(const std::string& method, absl::StatusCode code) { return {method, code}; }

  FakeCore core_;
  server::testing::FakeObserver observer_;
  server::testing::FakeStatistics statistics_;
  server::testing::FakeLog log_;
  std::atomic<bool> alive_{true};
  std::unique_ptr<HttpServer> server_;
};

}  // namespace reprise::server::http::testing
