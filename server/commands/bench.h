// `reprise bench`: times the engine on this machine, exact against reuse.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; parsing runs it and sets `exit_status`: 0 when everything was measured, 1
// when something failed, 2 for flags that do not fit the model.
void AddBenchCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
