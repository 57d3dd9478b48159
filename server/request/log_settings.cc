#include "server/request/log_settings.h"

#include "absl/strings/str_cat.h"

namespace reprise::server {
namespace {

template <typename T>
absl::Status Set(std::string_view name, const LogSettingValue& value, std::string_view type,
                 std::optional<T>* target) {
  if (!std::holds_alternative<T>(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("log setting '", std::string(name), "': expected a ", std::string(type)));
  }
  *target = std::get<T>(value);
  return absl::OkStatus();
}

}  // namespace

std::map<std::string, LogSettingValue> ToNamedValues(const LogSettings& settings) {
  return {{"log_file", settings.file},
          {"log_info", settings.info},
          {"log_warning", settings.warning},
          {"log_error", settings.error},
          {"log_verbose_level", settings.verbose_level},
          {"log_format", settings.format}};
}

absl::Status SetNamedValue(std::string_view name, const LogSettingValue& value, LogChange* change) {
  if (name == "log_file") return Set(name, value, "string", &change->file);
  if (name == "log_info") return Set(name, value, "bool", &change->info);
  if (name == "log_warning") return Set(name, value, "bool", &change->warning);
  if (name == "log_error") return Set(name, value, "bool", &change->error);
  if (name == "log_verbose_level") {
    return Set(name, value, "number from 0 to 4294967295", &change->verbose_level);
  }
  if (name == "log_format") return Set(name, value, "string", &change->format);
  return absl::InvalidArgumentError(absl::StrCat(
      "'", std::string(name), "' is no log setting; expected log_file, log_info, log_warning, ",
      "log_error, log_verbose_level or log_format"));
}

}  // namespace reprise::server
