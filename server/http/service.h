// Requests whose answer is known at once: everything but inference, loading and unloading.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "server/http/response.h"
#include "server/http/router.h"
#include "server/http/service_context.h"

namespace reprise::server::http {

struct Answered {
  Response response;
  absl::StatusCode code = absl::StatusCode::kOk;  // for metrics
};

// Never blocks. A server or model that is not ready answers 503 with the same body as one that is.
// Requires: the route is none of these three.
Answered AnswerAtOnce(const ServiceContext& service, const Route& route, std::string_view body);

}  // namespace reprise::server::http
