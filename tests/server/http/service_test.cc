#include "server/http/service.h"

#include <string>

#include "tests/server/http/server_fixture.h"

namespace reprise::server::http {
namespace {

using testing::Get;
using testing::Post;
using testing::RawResponse;

class ServiceTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer(); }
  nlohmann::json JsonOf(const std::string& path) {
    const RawResponse response = Ask(Get(path));
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_EQ(response.headers.at("content-type"), "application/json");
    return nlohmann::json::parse(response.body, nullptr, false);
  }
};

TEST_F(ServiceTest, SaysWhoTheServerIs) {
  const auto metadata = JsonOf("/v2");
  EXPECT_EQ(metadata["name"], "reprise");
  EXPECT_TRUE(metadata["version"].is_string());
  EXPECT_TRUE(metadata["extensions"].is_array());
  EXPECT_EQ(JsonOf("/v2/"), metadata);
}

TEST_F(ServiceTest, SaysHowTheServerIs) {
  EXPECT_EQ(Ask(Get("/v2/health/live")).body, R"({"live":true})");
  EXPECT_EQ(Ask(Get("/v2/health/ready")).body, R"({"ready":true})");
  core_.SetReady(false);
  alive_ = false;
  const RawResponse ready = Ask(Get("/v2/health/ready"));
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.body, R"({"ready":false})");
  EXPECT_EQ(Ask(Get("/v2/health/live")).status, 503);
  EXPECT_EQ(observer_.rpcs()[0], Counted("ServerLive", absl::StatusCode::kOk));
  EXPECT_EQ(observer_.rpcs()[2], Counted("ServerReady", absl::StatusCode::kUnavailable));
}

TEST_F(ServiceTest, SaysWhetherAModelIsReady) {
  EXPECT_EQ(Ask(Get("/v2/models/demo/ready")).body, R"({"name":"demo","ready":true})");
  core_.SetReady(false);
  EXPECT_EQ(Ask(Get("/v2/models/demo/versions/3/ready")).status, 503);
  const RawResponse unknown = Ask(Get("/v2/models/nobody/ready"));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, R"({"error":"Request for unknown model: 'nobody' is not found"})");
}

TEST_F(ServiceTest, DescribesAModel) {
  const auto metadata = JsonOf("/v2/models/demo");
  EXPECT_EQ(metadata["name"], "demo");
  EXPECT_EQ(metadata["versions"], nlohmann::json({"1", "3"}));
  EXPECT_EQ(metadata["inputs"][0].dump(),
            R"({"datatype":"INT64","name":"input_ids","shape":[-1,-1]})");
  const auto config = JsonOf("/v2/models/demo/config");
  EXPECT_EQ(config["max_batch_size"], 8);
  EXPECT_EQ(config["input"][0]["data_type"], "TYPE_INT64");
  EXPECT_EQ(config["dynamic_batching"]["max_queue_delay_microseconds"], 250);
  EXPECT_EQ(config["model_transaction_policy"]["decoupled"], false);
  EXPECT_EQ(config["response_cache"]["enable"], false);
}

TEST_F(ServiceTest, ListsModels) {
  const RawResponse all = Ask(Post("/v2/repository/index", ""));
  EXPECT_EQ(all.status, 200);
  EXPECT_EQ(nlohmann::json::parse(all.body).size(), 2u);
  const RawResponse ready = Ask(Post("/v2/repository/index", R"({"ready":true})"));
  EXPECT_EQ(ready.body, R"([{"name":"demo","version":"3","state":"READY","reason":""}])");
}

TEST_F(ServiceTest, EachRequestIsCountedUnderItsMethod) {
  const std::string requests[] = {Get("/v2"), Get("/v2/models/demo"), Get("/v2/models/demo/config"),
                                  Get("/v2/logging"), Get("/nowhere")};
  for (const std::string& request : requests) Ask(request);
  EXPECT_THAT(observer_.rpcs(),
              ::testing::ElementsAre(Counted("ServerMetadata", absl::StatusCode::kOk),
                                     Counted("ModelMetadata", absl::StatusCode::kOk),
                                     Counted("ModelConfig", absl::StatusCode::kOk),
                                     Counted("LogSettings", absl::StatusCode::kUnimplemented),
                                     Counted("_unknown", absl::StatusCode::kNotFound)));
  EXPECT_TRUE(observer_.inferences().empty());
}

}  // namespace
}  // namespace reprise::server::http
