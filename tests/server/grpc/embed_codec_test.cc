#include "server/grpc/embed_codec.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::grpc {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DecodeEmbedTest, AsksForOneEmbeddingPerText) {
  v1::EmbedRequest message;
  message.set_model("demo");
  message.add_texts("one");
  message.add_texts("two");
  message.set_truncate(true);
  message.set_timeout_us(40);
  InferenceRequest request;
  ASSERT_THAT(DecodeEmbed(message, &request), IsOk());
  EXPECT_EQ(request.model_name, "demo");
  EXPECT_EQ(request.model_version, "");
  EXPECT_TRUE(request.truncate);
  EXPECT_EQ(request.deadline - request.arrival, std::chrono::microseconds(40));
  ASSERT_EQ(request.inputs.size(), 1u);
  EXPECT_EQ(request.inputs[0].name, "text");
  EXPECT_THAT(request.inputs[0].shape, ElementsAre(2));
  EXPECT_THAT(request.inputs[0].elements, ElementsAre("one", "two"));
  EXPECT_THAT(request.output_names, ElementsAre("sentence_embedding"));
}

TEST(DecodeEmbedTest, RefusesNoTexts) {
  InferenceRequest request;
  EXPECT_THAT(DecodeEmbed({}, &request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at least one")));
}

TEST(DecodeEmbedTest, RefusesATimeoutOfZero) {
  v1::EmbedRequest message;
  message.add_texts("one");
  message.set_timeout_us(0);
  InferenceRequest request;
  EXPECT_THAT(DecodeEmbed(message, &request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("timeout_us: found 0")));
}

TEST(EncodeEmbedTest, RefusesAnAnswerOfAnotherShape) {
  InferenceReply reply;
  reply.outputs.resize(1);
  v1::EmbedResponse message;
  EXPECT_THAT(EncodeEmbed(reply, {}, SteadyClock::now(), &message),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("[batch, hidden_size]")));
}

}  // namespace
}  // namespace reprise::server::grpc
