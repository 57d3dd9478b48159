// LogSettings calls between the Open Inference Protocol and the server's log.
#pragma once

#include "absl/status/status.h"
#include "inference/grpc_service.pb.h"
#include "server/request/log_settings.h"

namespace reprise::server::wire {

// Changes what `request` names, all of it or nothing, and answers with every setting. Errors are
// those of SetNamedValue and LogControl::Change, and InvalidArgument for a setting without a value.
absl::Status ChangeLogSettings(const inference::LogSettingsRequest& request, LogControl& log,
                               inference::LogSettingsResponse* reply);

}  // namespace reprise::server::wire
