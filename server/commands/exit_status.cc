#include "server/commands/exit_status.h"

#include <cstdio>
#include <string>

namespace reprise::server::commands {

ExitStatus Report(const char* command, const absl::Status& status) {
  if (status.ok()) return kExitOk;
  std::fprintf(stderr, "%s: %s\n", command, std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? kExitUsage : kExitFailed;
}

}  // namespace reprise::server::commands
