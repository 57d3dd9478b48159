// `reprise convert`: makes a reuse checkpoint of an ordinary one.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; parsing runs it and sets `exit_status`: 0 when the checkpoint was written, 1
// when it could not be, 2 for flags that do not fit the model.
void AddConvertCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
