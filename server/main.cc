// The program `reprise`: one subcommand per thing it can do.

#include <cstdio>

#include "CLI/CLI.hpp"
#include "server/commands/analyze.h"
#include "server/commands/bench.h"
#include "server/commands/convert.h"
#include "server/commands/exit_status.h"
#include "server/commands/golden.h"
#include "server/commands/health.h"
#include "server/commands/inspect.h"
#include "server/commands/serve.h"
#include "server/commands/simulate.h"
#include "server/commands/token.h"
#include "server/config/build_info.h"

int main(int argc, char** argv) {
  namespace commands = reprise::server::commands;
  namespace config = reprise::server::config;

  CLI::App app("Serves transformer models whose attention heads reuse scores of earlier layers.",
               "reprise");
  app.set_version_flag("--version",
                       "reprise " + config::BuildVersion() + " (" + config::BuildCommit() + ")");
  app.require_subcommand(1);
  int exit_status = commands::kExitOk;
  commands::AddServeCommand(app, &exit_status);
  commands::AddConvertCommand(app, &exit_status);
  commands::AddAnalyzeCommand(app, &exit_status);
  commands::AddBenchCommand(app, &exit_status);
  commands::AddInspectCommand(app, &exit_status);
  commands::AddGoldenCommand(app, &exit_status);
  commands::AddHealthCommand(app, &exit_status);
  commands::AddSimulateCommand(app, &exit_status);
  commands::AddTokenCommand(app, &exit_status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 prints help to standard output and errors to standard error.
    return app.exit(error) == 0 ? commands::kExitOk : commands::kExitUsage;
  }
  return exit_status;
}
