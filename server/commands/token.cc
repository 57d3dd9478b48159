#include "server/commands/token.h"

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "engine/check.h"
#include "server/commands/exit_status.h"
#include "server/config/option_parsers.h"
#include "server/security/token_table.h"

namespace reprise::server::commands {
namespace {

struct TokenOptions {
  std::string name;
  security::GroupSet groups;
  bool from_input = false;
};

absl::StatusOr<std::string> GetToken(const TokenOptions& options) {
  if (!options.from_input) return security::NewToken();
  std::string token;
  std::getline(std::cin, token);
  return token;
}

absl::Status MakeToken(const TokenOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const std::string token, GetToken(options));
  REPRISE_ASSIGN_OR_RETURN(const std::string line,
                           security::TokenLine(options.name, token, options.groups));
  std::puts(line.c_str());
  if (!options.from_input) std::fprintf(stderr, "%s\n", token.c_str());
  return absl::OkStatus();
}

}  // namespace

void AddTokenCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "token",
      "Make a token for callers: its line for --auth-tokens-file goes to standard output, the "
      "token itself to standard error, once");
  command->footer(
      "Example: reprise token alice >> tokens. The line holds a digest of the token only.");
  auto options = std::make_shared<TokenOptions>();
  options->groups = *security::ParseGroups(security::kDefaultGroups);
  command->add_option("name", options->name, "Whom the token is for, as messages name it")
      ->required()
      ->type_name("NAME");
  config::AddParsedOption(*command, "--groups", &options->groups, security::ParseGroups, "GROUPS",
                          std::string(security::kDefaultGroups),
                          "Methods it may call: inference, metadata, control, health, with commas "
                          "between");
  command->add_flag("--stdin", options->from_input,
                    "Take the token from the first line of standard input instead of making one");
  command->callback([options, exit_status] {
    const absl::Status made = MakeToken(*options);
    if (!made.ok()) std::fprintf(stderr, "%s\n", std::string(made.message()).c_str());
    *exit_status = made.ok() ? kExitOk : kExitUsage;
  });
}

}  // namespace reprise::server::commands
