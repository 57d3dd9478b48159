#include "server/http/control_task.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "server/http/json_document.h"
#include "server/wire/control_request.h"

namespace reprise::server::http {
namespace {

absl::Status SetParameter(const std::string& key, const nlohmann::json& value,
                          inference::ModelRepositoryParameter* parameter) {
  if (value.is_boolean()) {
    parameter->set_bool_param(value.get<bool>());
  } else if (value.is_number_integer()) {
    parameter->set_int64_param(value.get<std::int64_t>());
  } else if (value.is_string()) {
    parameter->set_string_param(value.get<std::string>());
  } else {
    return absl::InvalidArgumentError(absl::StrCat("parameter '", key, "': found ",
                                                   engine::weights::JsonText(value),
                                                   ", expected true, false, an integer or a text"));
  }
  return absl::OkStatus();
}

template <typename Message>
absl::StatusOr<wire::ControlRequest> ReadRequest(const Route& route, std::string_view body) {
  REPRISE_ASSIGN_OR_RETURN(const nlohmann::json object, ReadObject(body));
  Message message;
  message.set_model_name(route.model);
  if (const auto parameters = object.find("parameters"); parameters != object.end()) {
    if (!parameters->is_object()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "parameters: found ", engine::weights::JsonText(*parameters), ", expected an object"));
    }
    for (const auto& [key, value] : parameters->items()) {
      REPRISE_RETURN_IF_ERROR(SetParameter(key, value, &(*message.mutable_parameters())[key]));
    }
  }
  return wire::ToControlRequest(std::move(message));
}

}  // namespace

ControlTask::ControlTask(ServiceContext& service, StrandPost::Post post, Answer answer)
    : service_(service), answer_(std::move(answer)), post_(std::move(post)) {}

void ControlTask::Run(const Route& route, std::string_view body) {
  const bool load = route.method == Method::kRepositoryModelLoad;
  const absl::StatusOr<wire::ControlRequest> request =
      load ? ReadRequest<inference::RepositoryModelLoadRequest>(route, body)
           : ReadRequest<inference::RepositoryModelUnloadRequest>(route, body);
  if (!request.ok()) return Finish(request.status());
  if (!service_.inferences.Add(shared_from_this())) {
    return Finish(absl::UnavailableError("the server is shutting down"));
  }
  const auto act = load ? &ServingCore::LoadModel : &ServingCore::UnloadModel;
  // Weak: once the connection has let go nobody is interested any more.
  (service_.core.*act)(request->model, request->parameters,
                       [weak = weak_from_this()](const absl::Status& status) {
                         if (const auto self = weak.lock()) self->End(status);
                       });
}

void ControlTask::End(const absl::Status& status) {
  post_([self = shared_from_this(), status] { self->Finish(status); });
}

void ControlTask::Finish(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  answer_(status);
}

}  // namespace reprise::server::http
