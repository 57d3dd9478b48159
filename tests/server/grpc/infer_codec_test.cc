#include "server/grpc/infer_codec.h"

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::grpc {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

inference::ModelInferRequest Message() {
  inference::ModelInferRequest message;
  message.set_model_name("demo");
  message.set_model_version("2");
  message.set_id("abc");
  for (const char* name : {"input_ids", "attention_mask"}) {
    auto* input = message.add_inputs();
    input->set_name(name);
    input->set_datatype("INT64");
    input->add_shape(1);
    message.add_raw_input_contents(std::string(8, '\0'));
  }
  return message;
}

absl::Status Decode(const inference::ModelInferRequest& message) {
  InferenceRequest request;
  ReplyWishes wishes;
  return DecodeModelInfer(message, &request, &wishes);
}

TEST(DecodeModelInferTest, FillsTheRequest) {
  inference::ModelInferRequest message = Message();
  message.add_outputs()->set_name("logits");
  InferenceRequest request;
  ReplyWishes wishes;
  ASSERT_THAT(DecodeModelInfer(message, &request, &wishes), IsOk());
  EXPECT_EQ(request.model_name, "demo");
  EXPECT_EQ(request.model_version, "2");
  EXPECT_EQ(request.id, "abc");
  ASSERT_EQ(request.inputs.size(), 2u);
  EXPECT_EQ(request.inputs[1].name, "attention_mask");
  EXPECT_THAT(request.output_names, ElementsAre("logits"));
  EXPECT_TRUE(wishes.classifications.empty());
}

TEST(DecodeModelInferTest, RefusesTooFewRawContents) {
  inference::ModelInferRequest message = Message();
  message.mutable_raw_input_contents()->RemoveLast();
  EXPECT_THAT(Decode(message), StatusIs(kInvalid, HasSubstr("found 1 entries")));
}

TEST(DecodeModelInferTest, RefusesTooManyRawContents) {
  inference::ModelInferRequest message = Message();
  message.add_raw_input_contents("");
  EXPECT_THAT(Decode(message), StatusIs(kInvalid, HasSubstr("found 3 entries")));
}

TEST(DecodeModelInferTest, RefusesRawAndTypedContentsTogether) {
  inference::ModelInferRequest message = Message();
  message.mutable_inputs(1)->mutable_contents()->add_int64_contents(1);
  EXPECT_THAT(Decode(message), StatusIs(kInvalid, HasSubstr("use one of the two throughout")));
}

TEST(DecodeModelInferTest, RefusesAnInputGivenTwice) {
  inference::ModelInferRequest message = Message();
  message.mutable_inputs(1)->set_name("input_ids");
  EXPECT_THAT(Decode(message), StatusIs(kInvalid, HasSubstr("'input_ids' is given twice")));
}

TEST(DecodeModelInferTest, RefusesAnOutputAskedForTwice) {
  inference::ModelInferRequest message = Message();
  message.add_outputs()->set_name("logits");
  message.add_outputs()->set_name("logits");
  EXPECT_THAT(Decode(message), StatusIs(kInvalid, HasSubstr("'logits' is asked for twice")));
}

TEST(DecodeModelInferTest, RefusesSharedMemory) {
  inference::ModelInferRequest message = Message();
  (*message.mutable_inputs(0)->mutable_parameters())["shared_memory_region"].set_string_param("r");
  EXPECT_THAT(Decode(message),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("shared_memory_region")));
}

TEST(DecodeModelInferTest, IgnoresBinaryDataSize) {
  inference::ModelInferRequest message = Message();
  (*message.mutable_inputs(0)->mutable_parameters())["binary_data_size"].set_int64_param(8);
  EXPECT_THAT(Decode(message), IsOk());
}

TEST(DecodeModelInferTest, KeepsTheModelNameOfABadRequest) {
  inference::ModelInferRequest message = Message();
  message.add_raw_input_contents("");
  InferenceRequest request;
  ReplyWishes wishes;
  EXPECT_THAT(DecodeModelInfer(message, &request, &wishes), StatusIs(kInvalid, HasSubstr("")));
  EXPECT_EQ(request.model_name, "demo");
}

InferenceReply Reply() {
  InferenceReply reply;
  reply.model_name = "demo";
  reply.model_version = "2";
  reply.id = "abc";
  Tensor logits;
  logits.name = "logits";
  logits.shape = {1, 2};
  const float values[] = {-1.0f, 2.5f};
  logits.raw.assign(reinterpret_cast<const char*>(values), sizeof(values));
  Tensor empty;
  empty.name = "last_hidden_state";
  empty.shape = {0, 4};
  reply.outputs = {logits, empty};
  return reply;
}

TEST(EncodeModelInferTest, HasOneRawEntryPerOutput) {
  inference::ModelInferResponse message;
  ASSERT_THAT(EncodeModelInfer(Reply(), {}, {}, &message), IsOk());
  EXPECT_EQ(message.model_version(), "2");
  EXPECT_EQ(message.id(), "abc");
  ASSERT_EQ(message.outputs_size(), 2);
  EXPECT_EQ(message.outputs(0).datatype(), "FP32");
  EXPECT_THAT(message.outputs(1).shape(), ElementsAre(0, 4));
  ASSERT_EQ(message.raw_output_contents_size(), 2);
  EXPECT_EQ(message.raw_output_contents(0).size(), 8u);
  EXPECT_TRUE(message.raw_output_contents(1).empty());
  EXPECT_FALSE(message.outputs(0).has_contents());
}

TEST(EncodeModelInferTest, ClassifiesWhereAsked) {
  inference::ModelInferRequest request = Message();
  auto* output = request.add_outputs();
  output->set_name("logits");
  (*output->mutable_parameters())["classification"].set_int64_param(1);
  InferenceRequest decoded;
  ReplyWishes wishes;
  ASSERT_THAT(DecodeModelInfer(request, &decoded, &wishes), IsOk());
  inference::ModelInferResponse message;
  ASSERT_THAT(EncodeModelInfer(Reply(), wishes, {"no", "yes"}, &message), IsOk());
  EXPECT_EQ(message.outputs(0).datatype(), "BYTES");
  EXPECT_THAT(message.outputs(0).shape(), ElementsAre(1, 1));
  EXPECT_EQ(message.raw_output_contents(0), std::string("\x09\0\0\0"
                                                        "2.5:1:yes",
                                                        13));
}

TEST(EncodeModelInferTest, TellsItsTimesOnlyWhenAsked) {
  inference::ModelInferRequest request = Message();
  (*request.mutable_parameters())["reprise_timing"].set_bool_param(true);
  InferenceRequest decoded;
  ReplyWishes wishes;
  ASSERT_THAT(DecodeModelInfer(request, &decoded, &wishes), IsOk());
  InferenceReply reply = Reply();
  reply.timing.queue = std::chrono::nanoseconds(2'999);
  reply.timing.compute = std::chrono::milliseconds(4);
  reply.timing.batch_rows = 5;
  reply.timing.batch_tokens = 60;
  inference::ModelInferResponse message;
  ASSERT_THAT(EncodeModelInfer(reply, wishes, {}, &message), IsOk());
  EXPECT_EQ(message.parameters().size(), 4u);
  EXPECT_EQ(message.parameters().at("reprise_queue_us").int64_param(), 2);
  EXPECT_EQ(message.parameters().at("reprise_compute_us").int64_param(), 4000);
  EXPECT_EQ(message.parameters().at("reprise_batch_rows").int64_param(), 5);
  EXPECT_EQ(message.parameters().at("reprise_batch_tokens").int64_param(), 60);
  message.Clear();
  ASSERT_THAT(EncodeModelInfer(reply, {}, {}, &message), IsOk());
  EXPECT_TRUE(message.parameters().empty());
}

TEST(StreamErrorTest, NamesTheRequestAndTheCode) {
  const inference::ModelStreamInferResponse reply =
      StreamError(absl::NotFoundError("no such model"), {"demo", "2", "abc"});
  EXPECT_EQ(reply.error_message(), "no such model");
  const auto& response = reply.infer_response();
  EXPECT_EQ(response.model_name(), "demo");
  EXPECT_EQ(response.model_version(), "2");
  EXPECT_EQ(response.id(), "abc");
  EXPECT_EQ(response.parameters().at("reprise_grpc_code").int64_param(), 5);
  EXPECT_TRUE(response.parameters().at("triton_final_response").bool_param());
}

}  // namespace
}  // namespace reprise::server::grpc
