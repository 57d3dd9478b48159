#include "server/wire/log_settings.h"

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::wire {
namespace {

using Value = inference::LogSettingsRequest::SettingValue;

absl::StatusOr<LogSettingValue> Read(const std::string& name, const Value& value) {
  switch (value.parameter_choice_case()) {
    case Value::kBoolParam:
      return value.bool_param();
    case Value::kUint32Param:
      return value.uint32_param();
    case Value::kStringParam:
      return value.string_param();
    case Value::PARAMETER_CHOICE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log setting '", name, "': found no value, expected one"));
}

void Write(const LogSettingValue& value, inference::LogSettingsResponse::SettingValue* message) {
  if (const auto* flag = std::get_if<bool>(&value)) message->set_bool_param(*flag);
  if (const auto* number = std::get_if<std::uint32_t>(&value)) message->set_uint32_param(*number);
  if (const auto* text = std::get_if<std::string>(&value)) message->set_string_param(*text);
}

}  // namespace

absl::Status ChangeLogSettings(const inference::LogSettingsRequest& request, LogControl& log,
                               inference::LogSettingsResponse* reply) {
  LogChange change;
  for (const auto& [name, setting] : request.settings()) {
    REPRISE_ASSIGN_OR_RETURN(const LogSettingValue value, Read(name, setting));
    REPRISE_RETURN_IF_ERROR(SetNamedValue(name, value, &change));
  }
  if (!request.settings().empty()) {
    REPRISE_RETURN_IF_ERROR(log.Change(change));
  }
  for (const auto& [name, value] : ToNamedValues(log.Settings())) {
    Write(value, &(*reply->mutable_settings())[name]);
  }
  return absl::OkStatus();
}

}  // namespace reprise::server::wire
