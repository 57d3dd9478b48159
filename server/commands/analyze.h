// The subcommand `analyze`: how alike a model's heads attend, on texts.
#pragma once

#include "CLI/CLI.hpp"

namespace reprise::server::commands {

// Sets `*exit_status` when the subcommand ran.
void AddAnalyzeCommand(CLI::App& app, int* exit_status);

}  // namespace reprise::server::commands
