// The settings of the JSON log, for whoever changes them while the server runs.
#pragma once

#include "server/request/log_settings.h"

namespace reprise::server::config {

// Controls the log of json_log.h, which is one per process. Lines go to standard error in one
// format: the settings `file` and `format` can be read but not changed.
class JsonLogControl final : public LogControl {
 public:
  LogSettings Settings() const override;
  // Unimplemented for a file, InvalidArgument for another format than "json".
  absl::Status Change(const LogChange& change) override;
};

}  // namespace reprise::server::config
