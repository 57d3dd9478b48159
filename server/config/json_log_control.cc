#include "server/config/json_log_control.h"

#include "absl/strings/str_cat.h"
#include "server/config/json_log.h"

namespace reprise::server::config {
namespace {

constexpr const char* kFormat = "json";

}  // namespace

LogSettings JsonLogControl::Settings() const {
  const LogLevels levels = EnabledLogLevels();
  return {.file = "",
          .info = levels.info,
          .warning = levels.warning,
          .error = levels.error,
          .verbose_level = levels.verbosity,
          .format = kFormat};
}

absl::Status JsonLogControl::Change(const LogChange& change) {
  if (change.file.has_value() && !change.file->empty()) {
    return absl::UnimplementedError(
        absl::StrCat("log_file is '", *change.file, "', expected empty: the log goes to standard ",
                     "error, and whoever runs the server decides where that leads"));
  }
  if (change.format.has_value() && *change.format != kFormat) {
    return absl::InvalidArgumentError(
        absl::StrCat("log_format is '", *change.format, "', expected '", kFormat,
                     "': each line is a JSON object with an ISO 8601 time"));
  }
  UpdateLogLevels([&change](LogLevels* levels) {
    levels->info = change.info.value_or(levels->info);
    levels->warning = change.warning.value_or(levels->warning);
    levels->error = change.error.value_or(levels->error);
    levels->verbosity = change.verbose_level.value_or(levels->verbosity);
  });
  const LogLevels levels = EnabledLogLevels();
  LogInfo("log settings changed", {{"log_info", levels.info},
                                   {"log_warning", levels.warning},
                                   {"log_error", levels.error},
                                   {"log_verbose_level", levels.verbosity}});
  return absl::OkStatus();
}

}  // namespace reprise::server::config
