#include "server/commands/inspect.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "engine/device/cpu/cores.h"
#include "engine/layers/head_calibration_json.h"
#include "nlohmann/json.hpp"
#include "server/commands/exit_status.h"
#include "server/commands/inspection.h"

namespace reprise::server::commands {
namespace {

struct InspectOptions {
  std::string model;
  std::vector<std::int64_t> seq_lens;
  int threads = engine::device::UsableCores();
  std::string calibration_file;
  bool json = false;
};

ExitStatus RunInspect(const InspectOptions& options) {
  if (!options.calibration_file.empty()) {
    const auto calibrations = engine::layers::ReadCalibration(options.calibration_file);
    if (!calibrations.ok()) {
      std::fprintf(stderr, "inspect: %s\n", std::string(calibrations.status().message()).c_str());
      return kExitFailed;
    }
    engine::layers::UseCalibration(*calibrations);
  }
  const auto inspection = Inspect(options.model, options.seq_lens, options.threads);
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
  command
      ->add_option("--threads", options->threads,
                   "Threads to predict strategies for; default: the cores of this machine")
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--calibration", options->calibration_file,
                   "Predict strategies from this file of 'reprise bench --calibrate' instead of "
                   "measuring; default: measured")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "Print JSON instead of text");
  command->callback([options, exit_status] { *exit_status = RunInspect(*options); });
}

}  // namespace reprise::server::commands
