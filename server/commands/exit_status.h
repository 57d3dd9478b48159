// What the program's exit status says.
#pragma once

namespace reprise::server::commands {

enum ExitStatus : int {
  kExitOk = 0,
  kExitFailed = 1,  // could not do what was asked: a model did not load, a port was taken, ...
  kExitUsage = 2,   // was asked something wrong: bad flags or a bad config
};

}  // namespace reprise::server::commands
