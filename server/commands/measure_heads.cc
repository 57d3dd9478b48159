#include "server/commands/measure_heads.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <utility>
#include <vector>

#include "engine/analysis/analyze.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/random_source.h"
#include "server/commands/machine.h"
#include "server/commands/progress_bar.h"
#include "server/commands/quantity_text.h"

namespace reprise::server::commands {
namespace {

using engine::analysis::AnalysisOptions;

// Seconds that one thread takes for all texts, from how long the text of middle length takes and,
// where there are many, the longest: some work grows with a text's length, some with its square.
template <typename Analyze>
absl::StatusOr<double> EstimateSeconds(const TokenizedTexts& texts, const Analyze& analyze) {
  const auto seconds_of = [&](std::size_t text) -> absl::StatusOr<double> {
    const auto begin = std::chrono::steady_clock::now();
    REPRISE_RETURN_IF_ERROR(
        analyze(TokenizedTexts{texts[text]}, AnalysisOptions{.threads = 1, .progress = {}})
            .status());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return texts[a].size() < texts[b].size(); });
  const std::size_t middle = order[order.size() / 2], longest = order.back();
  REPRISE_RETURN_IF_ERROR(seconds_of(middle).status());  // memory is fetched and caches are filled
  REPRISE_ASSIGN_OR_RETURN(const double middle_takes, seconds_of(middle));
  const auto m = static_cast<double>(texts[middle].size());
  const auto l = static_cast<double>(texts[longest].size());
  double linear = middle_takes / m, square = 0;
  constexpr std::size_t kMany = 20;  // so that one text more does not count
  if (texts.size() >= kMany && l >= 1.5 * m) {
    REPRISE_ASSIGN_OR_RETURN(const double longest_takes, seconds_of(longest));
    square = std::max(0.0, (longest_takes / l - middle_takes / m) / (l - m));
    linear = std::max(0.0, middle_takes / m - square * m);
  }
  double seconds = 0;
  for (const auto& text : texts) {
    const auto length = static_cast<double>(text.size());
    seconds += linear * length + square * length * length;
  }
  return seconds;
}

std::int64_t LongestOf(const TokenizedTexts& texts) {
  std::size_t longest = 0;
  for (const auto& text : texts) longest = std::max(longest, text.size());
  return static_cast<std::int64_t>(longest);
}

// Says what it will take to run the texts. `bytes_before`: what the process has, the model
// included; `bytes_of_a_sum`: what each thread sums up in.
void Announce(const LoadedCheckpoint& model, const TokenizedTexts& texts, int threads,
              double seconds_of_one_thread, std::int64_t bytes_before, std::int64_t bytes_of_a_sum,
              const char* what) {
  const std::int64_t bytes =
      std::max(bytes_before, model.weights.packed_bytes) + bytes_of_a_sum +
      threads * (engine::analysis::ScoreCapture::BytesFor(model.config, LongestOf(texts)) +
                 bytes_of_a_sum);
  std::printf("%zu texts, %s tokens%s, %d threads: about %.0f s and %s of memory\n", texts.size(),
              CountText(static_cast<double>(TokensOf(texts))).c_str(), what, threads,
              seconds_of_one_thread / threads, ByteText(bytes).c_str());
  std::fflush(stdout);
}

// Runs `analyze(texts, options)` after saying what it will take.
template <typename Analyze>
auto RunAnnounced(const LoadedCheckpoint& model, const TokenizedTexts& texts, int threads,
                  std::int64_t bytes_of_a_sum, const Analyze& analyze)
    -> decltype(analyze(texts, AnalysisOptions())) {
  if (texts.empty()) return absl::InvalidArgumentError("there is no text to analyse");
  const std::int64_t before = PeakResidentBytes();
  REPRISE_ASSIGN_OR_RETURN(const double seconds, EstimateSeconds(texts, analyze));
  Announce(model, texts, threads, seconds, before, bytes_of_a_sum, "");
  ProgressBar progress("analysing");
  return analyze(
      texts, AnalysisOptions{threads, [&](int done, int total) { progress.Show(done, total); }});
}

std::int64_t TableBytes(const engine::architectures::BertConfig& config) {
  return engine::analysis::SimilarityTable::BytesFor(config.num_layers, config.num_heads);
}

}  // namespace

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

absl::StatusOr<engine::analysis::SimilarityTable> MeasureSimilarity(const LoadedCheckpoint& model,
                                                                    const TokenizedTexts& texts,
                                                                    int threads) {
  return RunAnnounced(
      model, texts, threads, TableBytes(model.config), [&](const auto& some, const auto& options) {
        return engine::analysis::AnalyzeSimilarity(model.config, model.weights, some, options);
      });
}

absl::Status AnnounceSimilarity(const LoadedCheckpoint& model, const TokenizedTexts& texts,
                                int threads, const std::vector<std::int64_t>& done) {
  if (texts.empty()) return absl::InvalidArgumentError("there is no text to analyse");
  TokenizedTexts left;
  for (const std::int64_t first : done) left.insert(left.end(), texts.begin() + first, texts.end());
  if (left.empty()) return absl::OkStatus();
  const std::int64_t before = PeakResidentBytes();
  REPRISE_ASSIGN_OR_RETURN(
      const double seconds, EstimateSeconds(left, [&](const auto& some, const auto& options) {
        return engine::analysis::AnalyzeSimilarity(model.config, model.weights, some, options);
      }));
  // What a run is resumed from, and what is measured with other weights, is kept beside.
  const std::int64_t tables = static_cast<std::int64_t>(1 + done.size()) * TableBytes(model.config);
  Announce(model, texts, threads, seconds, before, tables,
           done.size() > 1 ? ", also with random weights" : "");
  return absl::OkStatus();
}

absl::StatusOr<engine::analysis::SimilarityTable> MeasureSimilarityInPieces(
    const engine::architectures::BertConfig& config,
    const engine::architectures::BertWeights& weights, const TokenizedTexts& texts, int threads,
    const std::string& name, StateFile* state) {
  engine::analysis::SimilarityTable begun(config.num_layers, config.num_heads);
  if (state != nullptr) {
    begun = state->Begun(name);
    REPRISE_RETURN_IF_ERROR(state->Save());  // to know now that it can be written
  }
  ProgressBar progress("analysing, " + name);
  REPRISE_ASSIGN_OR_RETURN(engine::analysis::SimilarityTable table,
                           engine::analysis::ContinueSimilarity(
                               config, weights, texts, std::move(begun),
                               {threads, [&](int done, int total) { progress.Show(done, total); }},
                               [&](const auto& so_far) {
                                 return state != nullptr ? state->Keep(name, so_far)
                                                         : absl::OkStatus();
                               }));
  if (state != nullptr) REPRISE_RETURN_IF_ERROR(state->Save());
  return table;
}

absl::StatusOr<engine::architectures::BertWeights> RandomWeights(
    const engine::architectures::BertConfig& config, std::uint64_t seed) {
  const engine::weights::RandomSource source(engine::architectures::BertParameters(config, {}),
                                             seed);
  return engine::architectures::PackBertWeights(config, {}, source, engine::DType::kF32);
}

absl::StatusOr<engine::analysis::OutputErrors> MeasureOutputErrors(const LoadedCheckpoint& model,
                                                                   const TokenizedTexts& texts,
                                                                   int threads) {
  return RunAnnounced(model, texts, threads, 0, [&](const auto& some, const auto& options) {
    return engine::analysis::AnalyzeOutputErrors(model.config, model.weights, model.outputs, some,
                                                 options);
  });
}

}  // namespace reprise::server::commands
