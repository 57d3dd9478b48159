// `reprise golden`: stores what a model answers, for the gate that later versions must pass.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; parsing runs it and sets `exit_status`: 0, or 1 when the checkpoint cannot
// be loaded, cannot take a sample, or the file cannot be written.
void AddGoldenCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
