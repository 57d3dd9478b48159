#include "server/http/message_json.h"

#include "gtest/gtest.h"
#include "inference/grpc_service.pb.h"
#include "inference/model_config.pb.h"

namespace reprise::server::http {
namespace {

TEST(ToJsonTest, WritesNumbersAsNumbersAndEnumsByName) {
  inference::ModelConfig config;
  config.set_name("m");
  config.set_max_batch_size(8);
  auto* input = config.add_input();
  input->set_name("x");
  input->set_data_type(inference::TYPE_INT64);
  input->add_dims(-1);
  input->add_dims(std::int64_t{1} << 40);
  config.mutable_dynamic_batching()->set_max_queue_delay_microseconds(1ULL << 60);
  (*config.mutable_parameters())["b"].set_string_value("2");
  (*config.mutable_parameters())["a"].set_string_value("1");
  const nlohmann::ordered_json json = ToJson(config);
  EXPECT_EQ(json["name"], "m");
  EXPECT_EQ(json["max_batch_size"], 8);
  EXPECT_EQ(json["input"][0]["data_type"], "TYPE_INT64");
  EXPECT_EQ(json["input"][0]["dims"].dump(), "[-1,1099511627776]");
  EXPECT_EQ(json["dynamic_batching"]["max_queue_delay_microseconds"].dump(), "1152921504606846976");
  EXPECT_EQ(json["parameters"].dump(), R"({"a":{"string_value":"1"},"b":{"string_value":"2"}})");
}

TEST(ToJsonTest, WritesDefaultsButNoMessageThatIsNotSet) {
  const nlohmann::ordered_json json = ToJson(inference::ModelConfig());
  EXPECT_EQ(json["platform"], "");
  EXPECT_EQ(json["max_batch_size"], 0);
  EXPECT_EQ(json["input"].dump(), "[]");
  EXPECT_EQ(json["parameters"].dump(), "{}");
  EXPECT_FALSE(json.contains("dynamic_batching"));
  EXPECT_FALSE(json.contains("response_cache"));
}

TEST(ToJsonTest, WritesTheMemberOfAOneofThatIsSet) {
  inference::InferParameter parameter;
  EXPECT_EQ(ToJson(parameter).dump(), "{}");
  parameter.set_bool_param(false);
  EXPECT_EQ(ToJson(parameter).dump(), R"({"bool_param":false})");
}

TEST(ToJsonTest, KeepsTheOrderOfTheFields) {
  inference::ServerMetadataResponse metadata;
  metadata.add_extensions("a");
  metadata.set_version("1");
  metadata.set_name("n");
  EXPECT_EQ(ToJson(metadata).dump(), R"({"name":"n","version":"1","extensions":["a"]})");
}

}  // namespace
}  // namespace reprise::server::http
