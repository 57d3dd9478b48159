// `reprise token`: makes a token for callers and its line for the tokens file.
#pragma once

namespace CLI {
class App;
}

namespace reprise::server::commands {

// Adds the subcommand; parsing runs it and sets `exit_status`. The line goes to standard output,
// the token, which cannot be had from it again, to standard error.
void AddTokenCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
