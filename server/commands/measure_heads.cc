#include "server/commands/measure_heads.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/analysis/sensitivity.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"
#include "server/commands/machine.h"
#include "server/commands/progress_bar.h"
#include "server/commands/run_announcement.h"

namespace reprise::server::commands {
absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(const std::string& directory) {
  namespace architectures = engine::architectures;
  LoadedCheckpoint loaded;
  REPRISE_ASSIGN_OR_RETURN(loaded.config, architectures::ReadBertConfig(directory));
  REPRISE_ASSIGN_OR_RETURN(const auto checkpoint, engine::weights::Checkpoint::Open(directory));
  REPRISE_ASSIGN_OR_RETURN(const auto parts, architectures::FindParts(loaded.config, *checkpoint));
  REPRISE_RETURN_IF_ERROR(architectures::CheckParameters(loaded.config, parts, *checkpoint));
  REPRISE_ASSIGN_OR_RETURN(
      loaded.weights,
      architectures::PackBertWeights(loaded.config, parts, *checkpoint, engine::DType::kF32));
  if (!loaded.config.plan.is_exact()) return loaded;  // there is nothing to measure
  REPRISE_ASSIGN_OR_RETURN(loaded.outputs,
                           engine::analysis::ReadHeadOutputs(loaded.config, *checkpoint));
  return loaded;
}

absl::StatusOr<engine::analysis::HeadStatistics> MeasureHeads(const LoadedCheckpoint& model,
                                                              const TokenizedTexts& texts,
                                                              int threads) {
  if (texts.empty()) return absl::InvalidArgumentError("there is no text to analyse");
  const auto measure = [&](const TokenizedTexts& some,
                           const engine::analysis::AnalysisOptions& options) {
    return engine::analysis::MeasureHeadStatistics(model.config, model.weights, model.outputs, some,
                                                   options);
  };
  const std::int64_t before = std::max(PeakResidentBytes(), model.weights.packed_bytes);
  REPRISE_ASSIGN_OR_RETURN(const double seconds, EstimateSeconds(texts, [&](const auto& text) {
                             return measure({text}, {}).status();
                           }));
  Announce(texts, threads, seconds,
           before + engine::analysis::TextWorkers::BytesFor(model.config, texts, threads));
  ProgressBar progress("analysing");
  return measure(texts, {threads, [&](int done, int total) { progress.Show(done, total); }});
}

absl::StatusOr<std::vector<double>> MeasureHeadSensitivity(
    const LoadedCheckpoint& model, const engine::analysis::OutputErrors& errors,
    const TokenizedTexts& texts, int threads) {
  ProgressBar progress("replacing heads one by one");
  return engine::analysis::MeasureSensitivity(
      model.config, model.weights, model.outputs, errors, texts,
      {threads, [&](int done, int total) { progress.Show(done, total); }});
}

}  // namespace reprise::server::commands
