#include "server/http/service.h"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"
#include "server/http/json_document.h"
#include "server/http/message_json.h"
#include "server/http/status.h"
#include "server/wire/log_settings.h"
#include "server/wire/model_config.h"
#include "server/wire/model_statistics.h"
#include "server/wire/server_report.h"

namespace reprise::server::http {
namespace {

using Json = nlohmann::ordered_json;

// What is said, and whether that is the good news a probe waits for.
struct Statement {
  Json json;
  bool good = true;
};

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

// Changes what the body names, all of it or nothing, and tells every setting.
absl::StatusOr<Json> ChangeLog(const ServiceContext& service, std::string_view body) {
  REPRISE_ASSIGN_OR_RETURN(const nlohmann::json object, ReadObject(body));
  inference::LogSettingsRequest request;
  for (const auto& [name, value] : object.items()) {
    auto& setting = (*request.mutable_settings())[name];
    if (value.is_boolean()) {
      setting.set_bool_param(value.get<bool>());
    } else if (value.is_number_unsigned() && value.get<std::uint64_t>() <= UINT32_MAX) {
      setting.set_uint32_param(value.get<std::uint32_t>());
    } else if (value.is_string()) {
      setting.set_string_param(value.get<std::string>());
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": found ", engine::weights::JsonText(value),
                       ", expected true, false, an integer from 0 to 4294967295 or a text"));
    }
  }
  inference::LogSettingsResponse reply;
  REPRISE_RETURN_IF_ERROR(wire::ChangeLogSettings(request, service.log, &reply));
  Json settings = Json::object();
  for (const auto& [name, value] : ToNamedValues(service.log.Settings())) {
    std::visit([&settings, &name = name](const auto& each) { settings[name] = each; }, value);
  }
  return settings;
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
    case Method::kModelStatistics: {
      REPRISE_ASSIGN_OR_RETURN(
          const std::vector<VersionStatistics> versions,
          SelectStatistics(service.statistics, service.core, route.model, route.version));
      inference::ModelStatisticsResponse statistics;
      for (const VersionStatistics& version : versions) {
        *statistics.add_model_stats() = wire::ToModelStatistics(version);
      }
      return Statement{ToJson(statistics)};
    }
    case Method::kLogSettings: {
      REPRISE_ASSIGN_OR_RETURN(Json settings, ChangeLog(service, body));
      return Statement{std::move(settings)};
    }
    case Method::kModelInfer:
    case Method::kRepositoryModelLoad:
    case Method::kRepositoryModelUnload:
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
    answered.response.status = HttpStatus(absl::Status(answered.code, ""), RefusalReason::kNone);
  }
  return answered;
}

}  // namespace reprise::server::http
