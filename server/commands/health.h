// `reprise health`: asks a running server whether it is well, for container probes.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; parsing runs it and sets `exit_status`: 0 when the server says SERVING, 1
// when it says anything else or does not answer, 2 for a file that cannot be read.
void AddHealthCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
