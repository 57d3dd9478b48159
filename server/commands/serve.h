// `reprise serve`: answers inference requests until told to stop.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; when it was chosen, parsing runs it and sets `exit_status`, which must
// outlive the parsing. Status 0 after a clean drain; 1 when a model did not load, a port could not
// be had, or requests had to be ended; 2 for bad flags or a repository that cannot be read.
void AddServeCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
