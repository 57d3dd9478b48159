#include "server/commands/inspect.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "nlohmann/json.hpp"
#include "server/commands/exit_status.h"
#include "server/commands/inspection.h"

namespace reprise::server::commands {
namespace {

struct InspectOptions {
  std::string model;
  std::vector<std::int64_t> seq_lens;
  bool json = false;
};

ExitStatus RunInspect(const InspectOptions& options) {
  const auto inspection = Inspect(options.model, options.seq_lens);
  if (!inspection.ok()) {
    std::fprintf(stderr, "inspect: %s\n", std::string(inspection.status().message()).c_str());
    return kExitFailed;
  }
  if (options.json) {
    std::puts(ToJson(*inspection)
                  .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                  .c_str());
  } else {
    std::fputs(ToText(*inspection).c_str(), stdout);
  }
  return kExitOk;
}

}  // namespace

void AddInspectCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "inspect", "Show a checkpoint's shape and reuse map, and what running it will cost");
  auto options = std::make_shared<InspectOptions>();
  command->add_option("model", options->model, "Checkpoint folder")->required()->type_name("DIR");
  command
      ->add_option("--seq-len", options->seq_lens,
                   "Tokens per sequence to predict for, with commas; default: 128, 512 and the "
                   "model's longest")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
  command->add_flag("--json", options->json, "Print JSON instead of text");
  command->callback([options, exit_status] { *exit_status = RunInspect(*options); });
}

}  // namespace reprise::server::commands
