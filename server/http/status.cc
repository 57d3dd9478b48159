#include "server/http/status.h"

#include <chrono>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/wire/retry_hint.h"

namespace reprise::server::http {
namespace {

// A caller's words within a message: long ones are cut, so that the rest of it is seen.
std::string Quoted(std::string_view text) {
  constexpr std::size_t kMaxBytes = 200;
  return absl::StrCat("'", std::string(text.substr(0, kMaxBytes)),
                      text.size() > kMaxBytes ? "..." : "", "'");
}

}  // namespace

Failure UnknownPath(std::string_view path) {
  return {.status = absl::NotFoundError(absl::StrCat("unknown path ", Quoted(path),
                                                     "; the protocol's paths begin with /v2"))};
}

Failure WrongVerb(std::string_view verb, std::string_view path, std::string_view allow) {
  return {
      .status = absl::UnimplementedError(absl::StrCat(
          Quoted(path), " does not take ", std::string(verb), "; expected ", std::string(allow))),
      .http_status = 405,
      .allow = allow};
}

Failure BadRequest(std::string_view complaint) {
  return {.status = absl::InvalidArgumentError(std::string(complaint)),
          .refusal = RefusalReason::kInvalid};
}

Failure TooSlow() {
  return {.status = absl::DeadlineExceededError(
              "the request did not arrive in time; see --http-io-timeout-ms"),
          .http_status = 408};
}

Failure BodyTooLarge(std::int64_t max_receive_bytes) {
  return {.status = absl::ResourceExhaustedError(absl::StrCat(
              "the body of the request takes more than the server's receive limit of ",
              max_receive_bytes, " bytes; send fewer rows at once, or raise --max-receive-bytes")),
          .refusal = RefusalReason::kTooLarge};
}

Failure UnknownCoding(std::string_view coding) {
  return {.status = absl::InvalidArgumentError(absl::StrCat(
              "the Content-Encoding is ", Quoted(coding), ", expected gzip, deflate or none")),
          .refusal = RefusalReason::kInvalid,
          .http_status = 415};
}

Failure UnknownExpectation(std::string_view expectation) {
  return {.status = absl::InvalidArgumentError(absl::StrCat(
              "cannot do what Expect: ", Quoted(expectation), " asks for; expected 100-continue")),
          .refusal = RefusalReason::kInvalid,
          .http_status = 417};
}

Failure HeadersTooLarge(std::int64_t max_header_bytes) {
  return {.status = absl::ResourceExhaustedError(
              absl::StrCat("the headers of the request take more than ", max_header_bytes,
                           " bytes; see --http-max-header-bytes")),
          .refusal = RefusalReason::kTooLarge,
          .http_status = 431};
}

Failure UnknownTransferCoding(std::string_view coding) {
  return {.status = absl::UnimplementedError(
              absl::StrCat("the Transfer-Encoding is ", Quoted(coding), ", expected chunked")),
          .http_status = 501};
}

Failure UnknownVersion() {
  return {.status = absl::UnimplementedError("this server speaks HTTP/1.1 and HTTP/1.0"),
          .http_status = 505};
}

int HttpStatus(const absl::Status& status, RefusalReason refusal) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return wire::RetryDelay(status, refusal).has_value() ? 429 : 413;
    case absl::StatusCode::kCancelled:
      return 499;  // nobody reads it
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

Response ErrorResponse(const Failure& failure) {
  Response response;
  response.status =
      failure.http_status != 0 ? failure.http_status : HttpStatus(failure.status, failure.refusal);
  // The message may hold bytes of the caller that are not UTF-8, which JSON must be.
  const nlohmann::json body = {{"error", wire::ClipMessage(failure.status.message())}};
  response.body.push_back(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  if (!failure.allow.empty()) response.headers.emplace_back("Allow", failure.allow);
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (response.status == 415) response.headers.emplace_back("Accept-Encoding", "gzip, deflate");
  if (const auto delay = wire::RetryDelay(failure.status, failure.refusal);
      delay.has_value() && failure.http_status == 0) {
    // The header counts in whole seconds.
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*delay);
    response.headers.emplace_back("Retry-After", absl::StrCat(seconds.count()));
  }
  return response;
}

}  // namespace reprise::server::http
