// What the program's exit status says.
#pragma once

#include "absl/status/status.h"

namespace reprise::server::commands {

enum ExitStatus : int {
  kExitOk = 0,
  kExitFailed = 1,  // could not do what was asked: a model did not load, a port was taken, ...
  kExitUsage = 2,   // was asked something wrong: bad flags or a bad config
};

// Of a command that ended with `status`, whose message it prints on standard error after the
// command's name.
ExitStatus Report(const char* command, const absl::Status& status);

}  // namespace reprise::server::commands
