#include "server/grpc/status.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/test/server_context_test_spouse.h"
#include "gtest/gtest.h"
#include "server/request/retry_hint.h"

namespace reprise::server::grpc {
namespace {

struct Converted {
  ::grpc::Status status;
  std::optional<int> retry_ms;
  std::string reason;
  std::string pushback;
};

Converted Convert(const absl::Status& status, RefusalReason refusal) {
  ::grpc::ServerContext context;
  Converted result;
  result.status = ToGrpcStatus(status, refusal, context);
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(result.status.error_details()));
  for (const auto& any : details.details()) {
    google::rpc::RetryInfo retry;
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&retry)) {
      result.retry_ms = static_cast<int>(retry.retry_delay().seconds() * 1000 +
                                         retry.retry_delay().nanos() / 1'000'000);
    } else if (any.UnpackTo(&info)) {
      result.reason = info.reason();
    }
  }
  const auto trailers = ::grpc::testing::ServerContextTestSpouse(&context).GetTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  if (pushback != trailers.end()) result.pushback = pushback->second;
  return result;
}

TEST(ToGrpcStatusTest, KeepsCodeAndMessage) {
  const Converted result = Convert(absl::NotFoundError("no such model"), RefusalReason::kNone);
  EXPECT_EQ(result.status.error_code(), ::grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(result.status.error_message(), "no such model");
  EXPECT_TRUE(result.status.error_details().empty());
}

TEST(ToGrpcStatusTest, TellsWhenAFullQueueIsWorthAnotherTry) {
  const Converted result =
      Convert(absl::ResourceExhaustedError("full"), RefusalReason::kQueueTokens);
  EXPECT_EQ(result.reason, "QUEUE_TOKENS");
  EXPECT_EQ(result.retry_ms, 100);
  EXPECT_EQ(result.pushback, "100");
}

TEST(ToGrpcStatusTest, GivesARequestThatIsTooLargeNoRetryHint) {
  const Converted result =
      Convert(absl::ResourceExhaustedError("too large"), RefusalReason::kTooLarge);
  EXPECT_EQ(result.reason, "TOO_LARGE");
  EXPECT_EQ(result.retry_ms, std::nullopt);
  EXPECT_EQ(result.pushback, "");
}

TEST(ToGrpcStatusTest, SendsClientsOfADrainingServerElsewhereSoon) {
  const Converted result = Convert(absl::UnavailableError("bye"), RefusalReason::kDraining);
  EXPECT_EQ(result.reason, "DRAINING");
  EXPECT_EQ(result.retry_ms, 100);
  EXPECT_EQ(result.pushback, "100");
}

TEST(ToGrpcStatusTest, LetsClientsOfALoadingModelWaitLonger) {
  const Converted result = Convert(absl::UnavailableError("loading"), RefusalReason::kNone);
  EXPECT_EQ(result.retry_ms, 1000);
  EXPECT_EQ(result.pushback, "1000");
}

TEST(ToGrpcStatusTest, HintsAtAnEarlyDeadlineWithoutPushback) {
  const Converted early = Convert(absl::DeadlineExceededError("no"), RefusalReason::kDeadline);
  EXPECT_EQ(early.retry_ms, 100);
  EXPECT_EQ(early.pushback, "");
  const Converted late = Convert(absl::DeadlineExceededError("late"), RefusalReason::kNone);
  EXPECT_EQ(late.retry_ms, std::nullopt);
}

TEST(ToGrpcStatusTest, APredictionTakesThePlaceOfTheGuess) {
  const std::chrono::milliseconds predicted(1234);
  const Converted full = Convert(WithRetryHint(absl::ResourceExhaustedError("full"), predicted),
                                 RefusalReason::kQueueRequests);
  EXPECT_EQ(full.retry_ms, 1234);
  EXPECT_EQ(full.pushback, "1234");
  const Converted early = Convert(WithRetryHint(absl::DeadlineExceededError("no"), predicted),
                                  RefusalReason::kDeadline);
  EXPECT_EQ(early.retry_ms, 1234);
  EXPECT_EQ(early.pushback, "");
}

TEST(ToGrpcStatusTest, CutsLongMessagesBetweenCharacters) {
  std::string message(1023, 'a');
  message += "\xc3\xa9 and more";  // the cut at 1024 would fall inside this character
  const Converted result = Convert(absl::InvalidArgumentError(message), RefusalReason::kNone);
  EXPECT_EQ(result.status.error_message(), std::string(1023, 'a') + "...");
}

}  // namespace
}  // namespace reprise::server::grpc
