#include "server/http/service.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"
#include "server/http/json_document.h"
#include "server/http/message_json.h"
#include "server/http/status.h"
#include "server/wire/model_config.h"
#include "server/wire/server_report.h"

namespace reprise::server::http {
namespace {

using Json = nlohmann::ordered_json;

// What is said, and whether that is the good news a probe waits for.
struct Statement {
  Json json;
  bool good = true;
};

// The JSON object of a body; an empty body is an empty object.
absl::StatusOr<nlohmann::json> ReadObject(std::string_view body) {
  if (body.empty()) return nlohmann::json::object();
  REPRISE_ASSIGN_OR_RETURN(JsonDocument document, ParseJson(body, DataLists::kKeep));
  if (!document.root.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the request: found ", engine::weights::JsonText(document.root), ", expected an object"));
  }
  return std::move(document.root);
}

absl::StatusOr<Json> ListModels(const ServiceContext& service, std::string_view body) {
  REPRISE_ASSIGN_OR_RETURN(const nlohmann::json object, ReadObject(body));
  inference::RepositoryIndexRequest request;
  if (const auto ready = object.find("ready"); ready != object.end()) {
    if (!ready->is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "ready: found ", engine::weights::JsonText(*ready), ", expected true or false"));
    }
    request.set_ready(ready->get<bool>());
  }
  REPRISE_ASSIGN_OR_RETURN(const inference::RepositoryIndexResponse index,
                           wire::ToRepositoryIndex(service.core.Index(), request));
  return ToJson(index)["models"];
}

absl::StatusOr<Statement> Answer(const ServiceContext& service, const Route& route,
                                 std::string_view body) {
  switch (route.method) {
    case Method::kServerMetadata:
      return Statement{ToJson(wire::ToServerMetadata())};
    case Method::kServerLive: {
      const bool live = service.alive();
      return Statement{{{"live", live}}, live};
    }
    case Method::kServerReady: {
      const bool ready = service.Ready();
      return Statement{{{"ready", ready}}, ready};
    }
    case Method::kModelMetadata: {
      REPRISE_ASSIGN_OR_RETURN(const ModelDescription description,
                               service.core.Describe(route.model, route.version));
      return Statement{ToJson(wire::ToModelMetadata(description))};
    }
    case Method::kModelReady: {
      REPRISE_ASSIGN_OR_RETURN(const bool ready,
                               service.core.ModelReady(route.model, route.version));
      return Statement{{{"name", route.model}, {"ready", ready}}, ready};
    }
    case Method::kModelConfig: {
      REPRISE_ASSIGN_OR_RETURN(const ModelDescription description,
                               service.core.Describe(route.model, route.version));
      return Statement{ToJson(wire::ToModelConfig(description))};
    }
    case Method::kRepositoryIndex: {
      REPRISE_ASSIGN_OR_RETURN(Json index, ListModels(service, body));
      return Statement{std::move(index)};
    }
    case Method::kModelInfer:
    case Method::kNotBuilt:
      break;
  }
  return absl::UnimplementedError(
      absl::StrCat("this server does not have ", std::string(route.name)));
}

}  // namespace

Answered AnswerAtOnce(const ServiceContext& service, const Route& route, std::string_view body) {
  absl::StatusOr<Statement> statement = Answer(service, route, body);
  if (!statement.ok()) {
    return {ErrorResponse({.status = statement.status()}), statement.status().code()};
  }
  Answered answered;
  answered.response.body.push_back(
      statement->json.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!statement->good) {
    answered.code = absl::StatusCode::kUnavailable;
    answered.response.status = HttpStatus(answered.code, RefusalReason::kNone);
  }
  return answered;
}

}  // namespace reprise::server::http
