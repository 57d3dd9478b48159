// `reprise simulate`: what the batching policy would do with a given traffic.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; running it leaves its status in *exit_status.
void AddSimulateCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
