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

TEST_F(ServiceTest, TellsStatisticsWithEveryFieldAsANumber) {
  statistics_.versions = {{.model = "demo", .version = "3", .ready = true, .inference_count = 9},
                          {.model = "other", .version = "1", .ready = true}};
  EXPECT_EQ(JsonOf("/v2/models/stats")["model_stats"].size(), 2u);
  const auto demo = JsonOf("/v2/models/demo/versions/3/stats")["model_stats"];
  ASSERT_EQ(demo.size(), 1u);
  EXPECT_EQ(demo[0]["name"], "demo");
  EXPECT_EQ(demo[0]["inference_count"], 9);
  EXPECT_EQ(demo[0]["inference_stats"]["cache_hit"]["count"], 0);
  EXPECT_EQ(Ask(Get("/v2/models/nobody/stats")).status, 404);
}

TEST_F(ServiceTest, ChangesSomeLogSettingsAndTellsAll) {
  EXPECT_EQ(JsonOf("/v2/logging")["log_info"], true);
  const RawResponse changed =
      Ask(Post("/v2/logging", R"({"log_info":false,"log_verbose_level":2})"));
  EXPECT_EQ(changed.status, 200);
  const auto settings = nlohmann::json::parse(changed.body);
  EXPECT_EQ(settings["log_info"], false);
  EXPECT_EQ(settings["log_verbose_level"], 2);
  EXPECT_EQ(settings["log_format"], "json");
  EXPECT_EQ(Ask(Post("/v2/logging", R"({"log_colour":true})")).status, 400);
  EXPECT_EQ(Ask(Post("/v2/logging", R"({"log_info":null})")).status, 400);
  EXPECT_EQ(Ask(Post("/v2/logging", R"({"log_verbose_level":-1})")).status, 400);
  EXPECT_EQ(log_.changes(), 1);
}

TEST_F(ServiceTest, LoadsAModelAndAnswersWhenThatIsDone) {
  testing::RawClient client(server_->port());
  client.Send(Post("/v2/repository/models/demo/load",
                   R"({"parameters":{"config":"{}","file:1/x":"eA==","deep":true,"n":3}})"));
  server::testing::FakeCore::HeldControl held;
  ASSERT_TRUE(testing::Eventually([&] {
    held = core_.TakeControl();
    return held.done != nullptr;
  }));
  EXPECT_EQ(held.act, "load");
  EXPECT_EQ(held.name, "demo");
  EXPECT_EQ(held.parameters.at("config"), ControlParameter(std::string("{}")));
  EXPECT_EQ(held.parameters.at("deep"), ControlParameter(true));
  EXPECT_EQ(held.parameters.at("n"), ControlParameter(std::int64_t{3}));
  EXPECT_TRUE(observer_.rpcs().empty()) << "nothing is answered yet";
  held.done(absl::OkStatus());
  const RawResponse response = client.Receive();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "");
  EXPECT_THAT(observer_.rpcs(),
              ::testing::ElementsAre(Counted("RepositoryModelLoad", absl::StatusCode::kOk)));
}

TEST_F(ServiceTest, AnUnloadThatFailsSaysWhy) {
  testing::RawClient client(server_->port());
  client.Send(Post("/v2/repository/models/nobody/unload", ""));
  server::testing::FakeCore::HeldControl held;
  ASSERT_TRUE(testing::Eventually([&] {
    held = core_.TakeControl();
    return held.done != nullptr;
  }));
  EXPECT_EQ(held.act, "unload");
  held.done(absl::NotFoundError("no such model"));
  const RawResponse response = client.Receive();
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, R"({"error":"no such model"})");
}

TEST_F(ServiceTest, ACallerThatLeavesALoadIsCountedAndTheLoadGoesOn) {
  server::testing::FakeCore::HeldControl held;
  {
    testing::RawClient client(server_->port());
    client.Send(Post("/v2/repository/models/demo/load", ""));
    ASSERT_TRUE(testing::Eventually([&] {
      held = core_.TakeControl();
      return held.done != nullptr;
    }));
  }
  EXPECT_TRUE(testing::Eventually([this] { return observer_.rpcs().size() == 1; }));
  EXPECT_EQ(observer_.rpcs()[0], Counted("RepositoryModelLoad", absl::StatusCode::kCancelled));
  held.done(absl::OkStatus());  // nobody hears it
}

TEST_F(ServiceTest, LoadsThatAreWrittenWrongAreRefused) {
  for (const char* body :
       {"[]", R"({"parameters":[]})", R"({"parameters":{"config":null}})", "{"}) {
    EXPECT_EQ(Ask(Post("/v2/repository/models/demo/load", body)).status, 400) << body;
  }
  EXPECT_EQ(core_.TakeControl().done, nullptr);
}

TEST_F(ServiceTest, EachRequestIsCountedUnderItsMethod) {
  const std::string requests[] = {Get("/v2"), Get("/v2/models/demo"), Get("/v2/models/demo/config"),
                                  Get("/v2/logging"), Get("/nowhere")};
  for (const std::string& request : requests) Ask(request);
  EXPECT_THAT(observer_.rpcs(),
              ::testing::ElementsAre(Counted("ServerMetadata", absl::StatusCode::kOk),
                                     Counted("ModelMetadata", absl::StatusCode::kOk),
                                     Counted("ModelConfig", absl::StatusCode::kOk),
                                     Counted("LogSettings", absl::StatusCode::kOk),
                                     Counted("_unknown", absl::StatusCode::kNotFound)));
  EXPECT_TRUE(observer_.inferences().empty());
}

}  // namespace
}  // namespace reprise::server::http
