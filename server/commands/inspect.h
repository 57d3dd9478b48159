// `reprise inspect`: shows what a checkpoint directory holds.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; parsing runs it and sets `exit_status`: 0, or 1 when the directory is not a
// checkpoint that could be served or cannot run the lengths asked for.
void AddInspectCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
