#include "server/wire/control_request.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::wire {
namespace {

using inference::ModelRepositoryParameter;

absl::StatusOr<ControlParameter> DecodeParameter(const std::string& name,
                                                 ModelRepositoryParameter* parameter) {
  switch (parameter->parameter_choice_case()) {
    case ModelRepositoryParameter::kBoolParam:
      return parameter->bool_param();
    case ModelRepositoryParameter::kInt64Param:
      return parameter->int64_param();
    case ModelRepositoryParameter::kStringParam:
      return std::move(*parameter->mutable_string_param());
    case ModelRepositoryParameter::kBytesParam:
      return std::move(*parameter->mutable_bytes_param());
    case ModelRepositoryParameter::PARAMETER_CHOICE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("parameter '", name, "' has no value, expected one of bool_param, int64_param, ",
                   "string_param and bytes_param"));
}

template <typename Message>
absl::StatusOr<ControlRequest> Decode(Message message) {
  if (!message.model_name().empty() && !message.repository_name().empty()) {
    return absl::UnimplementedError(
        absl::StrCat("repository_name is '", message.repository_name(), "' and model_name '",
                     message.model_name(), "': this server has one repository without a name; ",
                     "name the model only"));
  }
  ControlRequest request;
  request.model = message.model_name().empty() ? message.repository_name() : message.model_name();
  for (auto& [name, parameter] : *message.mutable_parameters()) {
    REPRISE_ASSIGN_OR_RETURN(request.parameters[name], DecodeParameter(name, &parameter));
  }
  return request;
}

}  // namespace

absl::StatusOr<ControlRequest> ToControlRequest(inference::RepositoryModelLoadRequest message) {
  return Decode(std::move(message));
}

absl::StatusOr<ControlRequest> ToControlRequest(inference::RepositoryModelUnloadRequest message) {
  return Decode(std::move(message));
}

}  // namespace reprise::server::wire
