#include "server/http/status.h"

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/request/retry_hint.h"

namespace reprise::server::http {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::string MessageOf(const Response& response) {
  return nlohmann::json::parse(response.body.at(0)).at("error").get<std::string>();
}

TEST(ErrorResponseTest, SaysWhatIsWrongInJson) {
  const Response response = ErrorResponse({.status = absl::NotFoundError("no \"such\" model")});
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(MessageOf(response), "no \"such\" model");
  EXPECT_THAT(response.headers, IsEmpty());
}

TEST(ErrorResponseTest, HintsAtAnotherTryWhereThatCanHelp) {
  const Response full = ErrorResponse(
      {.status = absl::ResourceExhaustedError("full"), .refusal = RefusalReason::kQueueTokens});
  EXPECT_EQ(full.status, 429);
  EXPECT_THAT(full.headers, UnorderedElementsAre(Pair("Retry-After", "1")));
  const Response draining =
      ErrorResponse({.status = absl::UnavailableError("bye"), .refusal = RefusalReason::kDraining});
  EXPECT_EQ(draining.status, 503);
  EXPECT_THAT(draining.headers, UnorderedElementsAre(Pair("Retry-After", "1")));
  const Response late = ErrorResponse({.status = absl::DeadlineExceededError("late")});
  EXPECT_EQ(late.status, 504);
  EXPECT_THAT(late.headers, IsEmpty());
}

TEST(ErrorResponseTest, WhatIsTooLargeStaysTooLarge) {
  for (const RefusalReason refusal : {RefusalReason::kTooLarge, RefusalReason::kNone}) {
    const Response response =
        ErrorResponse({.status = absl::ResourceExhaustedError("large"), .refusal = refusal});
    EXPECT_EQ(response.status, 413);
    EXPECT_THAT(response.headers, IsEmpty());
  }
}

TEST(ErrorResponseTest, OtherCodesHaveTheirStatus) {
  const absl::Status full =
      WithRetryHint(absl::ResourceExhaustedError(""), std::chrono::milliseconds(5));
  EXPECT_EQ(HttpStatus(full, RefusalReason::kNone), 429);
  EXPECT_EQ(HttpStatus(absl::ResourceExhaustedError(""), RefusalReason::kNone), 413);
  EXPECT_EQ(HttpStatus(absl::Status(absl::StatusCode::kOk, ""), RefusalReason::kNone), 200);
  EXPECT_EQ(
      HttpStatus(absl::Status(absl::StatusCode::kInvalidArgument, ""), RefusalReason::kInvalid),
      400);
  EXPECT_EQ(HttpStatus(absl::Status(absl::StatusCode::kUnauthenticated, ""), RefusalReason::kNone),
            401);
  EXPECT_EQ(HttpStatus(absl::Status(absl::StatusCode::kPermissionDenied, ""), RefusalReason::kNone),
            403);
  EXPECT_EQ(HttpStatus(absl::Status(absl::StatusCode::kAlreadyExists, ""), RefusalReason::kNone),
            409);
  EXPECT_EQ(HttpStatus(absl::Status(absl::StatusCode::kInternal, ""), RefusalReason::kNone), 500);
  EXPECT_EQ(HttpStatus(absl::Status(absl::StatusCode::kUnknown, ""), RefusalReason::kNone), 500);
  EXPECT_EQ(HttpStatus(absl::Status(absl::StatusCode::kUnimplemented, ""), RefusalReason::kNone),
            501);
  EXPECT_EQ(HttpStatus(absl::Status(static_cast<absl::StatusCode>(99), ""), RefusalReason::kNone),
            500);
}

TEST(ErrorResponseTest, NamesTheVerbsAndTheCodingsThereAre) {
  EXPECT_THAT(ErrorResponse(WrongVerb("PUT", "/v2", "GET, HEAD")).headers,
              UnorderedElementsAre(Pair("Allow", "GET, HEAD")));
  const Response coding = ErrorResponse(UnknownCoding("br"));
  EXPECT_EQ(coding.status, 415);
  EXPECT_THAT(coding.headers, UnorderedElementsAre(Pair("Accept-Encoding", "gzip, deflate")));
}

TEST(ErrorResponseTest, CutsLongMessagesAndReplacesWhatIsNotUtf8) {
  EXPECT_EQ(MessageOf(ErrorResponse(BadRequest(std::string(5000, 'a')))),
            std::string(1024, 'a') + "...");
  EXPECT_EQ(MessageOf(ErrorResponse(BadRequest("a\xff z"))), "a\xef\xbf\xbd z");
  EXPECT_LT(MessageOf(ErrorResponse(UnknownPath(std::string(5000, 'a')))).size(), 400u);
}

}  // namespace
}  // namespace reprise::server::http
