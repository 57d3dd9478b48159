// The one place where an error becomes an HTTP status, with its body and retry hint.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/http/response.h"
#include "server/request/inference_request.h"

namespace reprise::server::http {

// Why a request gets no answer of its own. `status` is what metrics count.
struct Failure {
  absl::Status status;
  RefusalReason refusal = RefusalReason::kNone;
  int http_status = 0;          // 0: the one that belongs to `status`
  std::string_view allow = {};  // of 405: the verbs there are
};

// Errors that only HTTP knows.
Failure UnknownPath(std::string_view path);                                               // 404
Failure WrongVerb(std::string_view verb, std::string_view path, std::string_view allow);  // 405
Failure BadRequest(std::string_view complaint);                                           // 400
Failure TooSlow();                                                                        // 408
Failure BodyTooLarge(std::int64_t max_receive_bytes);                                     // 413
Failure UnknownCoding(std::string_view coding);                                           // 415
Failure UnknownExpectation(std::string_view expectation);                                 // 417
Failure HeadersTooLarge(std::int64_t max_header_bytes);                                   // 431
Failure UnknownTransferCoding(std::string_view coding);                                   // 501
Failure UnknownVersion();                                                                 // 505

// The HTTP status of a code. ResourceExhausted is 429 when trying again can help, else 413.
int HttpStatus(const absl::Status& status, RefusalReason refusal);

// `{"error": "..."}`, the message cut to 1 KiB; with Retry-After when trying again can help.
Response ErrorResponse(const Failure& failure);

}  // namespace reprise::server::http
