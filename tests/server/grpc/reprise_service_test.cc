#include "server/grpc/reprise_service.h"

#include "tests/server/fakes/fake_observer.h"
#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Rpc = server::testing::FakeObserver::Rpc;

class RepriseServiceTest : public testing::ServerFixture {
 protected:
  void SetUp() override { StartServer(); }
};

TEST_F(RepriseServiceTest, EmbedsTextsInOrder) {
  v1::EmbedRequest request;
  request.set_model("demo");
  request.add_texts("one");
  request.add_texts("two");
  v1::EmbedResponse response;
  ::grpc::ClientContext context;
  const ::grpc::Status status = reprise_->Embed(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.version(), "3");
  EXPECT_EQ(response.tokens(), 10);
  ASSERT_EQ(response.embeddings_size(), 2);
  EXPECT_THAT(response.embeddings(0).values(), ElementsAre(0.5f, 1.5f));
  EXPECT_THAT(response.embeddings(1).values(), ElementsAre(2.5f, 3.5f));
  EXPECT_EQ(response.time().queue_ns(), 7);
  EXPECT_EQ(response.time().compute_ns(), 11);
  EXPECT_EQ(response.time().batch_rows(), 2);
  EXPECT_GT(response.time().total_ns(), response.time().decode_ns());
  EXPECT_THAT(observer_.rpcs(), ElementsAre(Rpc{"Embed", absl::StatusCode::kOk}));
  EXPECT_EQ(observer_.inferences().size(), 1u);
}

TEST_F(RepriseServiceTest, EmbedsAStreamOfRequestsAndTellsWhichFailed) {
  core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
    if (request->model_name == "demo") {
      request->done(testing::TwoNumbersPerRow(*request), RefusalReason::kNone);
    } else {
      request->done(absl::ResourceExhaustedError("the queue is full"), RefusalReason::kQueueRows);
    }
  });
  ::grpc::ClientContext context;
  const auto stream = reprise_->EmbedStream(&context);
  for (const char* model : {"demo", "busy", "demo"}) {
    v1::EmbedRequest request;
    request.set_model(model);
    request.add_texts("one");
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  v1::EmbedStreamResponse first;
  v1::EmbedStreamResponse second;
  v1::EmbedStreamResponse third;
  ASSERT_TRUE(stream->Read(&first) && stream->Read(&second) && stream->Read(&third));
  EXPECT_THAT(first.response().embeddings(0).values(), ElementsAre(0.5f, 1.5f));
  EXPECT_EQ(second.error().code(), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(second.error().message(), "the queue is full");
  EXPECT_EQ(second.error().details_size(), 2) << "the reason, and when to try again";
  EXPECT_TRUE(third.has_response());
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_THAT(observer_.rpcs(),
              ElementsAre(Rpc{"EmbedStream", absl::StatusCode::kOk},
                          Rpc{"EmbedStream", absl::StatusCode::kResourceExhausted},
                          Rpc{"EmbedStream", absl::StatusCode::kOk},
                          Rpc{"EmbedStream/stream", absl::StatusCode::kOk}));
}

TEST_F(RepriseServiceTest, RefusesTextThatIsNotUtf8) {
  // Field 1, length 1, a byte that never occurs in UTF-8.
  const ::grpc::Status status = CallWithBytes("/reprise.v1.Reprise/Embed", "\x0a\x01\xff");
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("reprise.v1.EmbedRequest"));
}

TEST_F(RepriseServiceTest, DescribesNoUnknownModel) {
  v1::DescribeModelRequest request;
  request.set_model("nobody");
  v1::DescribeModelResponse response;
  ::grpc::ClientContext context;
  EXPECT_EQ(reprise_->DescribeModel(&context, request, &response).error_code(),
            ::grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(observer_.rpcs(), ElementsAre(Rpc{"DescribeModel", absl::StatusCode::kNotFound}));
}

}  // namespace
}  // namespace reprise::server::grpc
