#include "server/commands/conversion_sweep.h"

#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/staged_directory.h"
#include "server/commands/bench_models.h"
#include "server/commands/bench_timing.h"
#include "server/commands/calibrated_conversion.h"
#include "server/commands/conversion_budget.h"
#include "server/commands/machine.h"
#include "server/commands/sweep_report.h"
#include "server/commands/whole_file.h"

namespace reprise::server::commands {
namespace {

namespace fs = std::filesystem;
using engine::reuse::ReusePlan;

constexpr int kRepetitions = 41;

class Sweep {
 public:
  Sweep(const ConvertOptions& options, const std::string& scratch)
      : options_(options), scratch_(scratch) {
    options_.force = true;
  }

  absl::StatusOr<SweepReport> Run() {
    REPRISE_ASSIGN_OR_RETURN(converter_, CalibratedConverter::Create(options_));
    REPRISE_ASSIGN_OR_RETURN(const LatencyForecast* forecast, converter_->latency());
    SweepReport report;
    report.model = fs::path(options_.model).filename().string();
    report.machine = ToText(DescribeMachine());
    report.seq_len = options_.budget_length;
    for (const double budget : options_.sweep) {
      REPRISE_ASSIGN_OR_RETURN(const ReusePlan plan, converter_->ChooseForBudget(budget));
      REPRISE_ASSIGN_OR_RETURN(SweepPoint point, Measure(plan));
      point.budget = budget;
      REPRISE_ASSIGN_OR_RETURN(point.predicted_ratio, forecast->Ratio(plan));
      report.points.push_back(std::move(point));
      std::printf("%zu of %zu budgets\n", report.points.size(), options_.sweep.size());
      std::fflush(stdout);
    }
    return report;
  }

 private:
  absl::StatusOr<SweepPoint> Measure(const ReusePlan& plan) {
    const std::string directory = (fs::path(scratch_) / "model").string();
    REPRISE_ASSIGN_OR_RETURN(CalibratedConversion converted, converter_->Convert(plan, directory));
    SweepPoint point;
    point.reused_heads = plan.num_reused_heads();
    point.heads = plan.num_layers() * plan.num_heads();
    point.macs_saved = MacsSaved(converter_->config(), plan, options_.budget_length);
    point.quality = std::move(converted.quality);
    point.weight_bytes = converted.report.weight_bytes_after;
    const absl::Status timed = Time(directory, &point);
    std::error_code error;
    fs::remove_all(directory, error);
    REPRISE_RETURN_IF_ERROR(timed);
    return point;
  }

  // Original and converted model in turns, so that both see the same machine.
  absl::Status Time(const std::string& directory, SweepPoint* point) const {
    std::vector<BenchModel> models;
    for (const std::string& checkpoint : {options_.model, directory}) {
      BenchModelOptions options;
      options.checkpoint = checkpoint;
      REPRISE_ASSIGN_OR_RETURN(auto loaded, LoadBenchModels(options, [](int, int) {}));
      models.push_back(std::move(loaded.front()));
    }
    BenchTimingOptions timing;
    timing.seq_lens = {options_.budget_length};
    timing.repetitions = kRepetitions;
    REPRISE_ASSIGN_OR_RETURN(const auto rows, TimeModels(models, timing, [](int, int) {}));
    point->exact_ms = rows[0].median_ms;
    point->milliseconds = rows[1].median_ms;
    point->score_cache_bytes = rows[1].report.score_cache_peak_bytes;
    return absl::OkStatus();
  }

  ConvertOptions options_;
  const std::string scratch_;
  std::unique_ptr<CalibratedConverter> converter_;
};

}  // namespace

absl::Status SweepBudgets(const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(auto staged, engine::weights::StagedDirectory::Create(options.output));
  REPRISE_ASSIGN_OR_RETURN(const SweepReport report, Sweep(options, staged.path().string()).Run());
  REPRISE_RETURN_IF_ERROR(
      WriteWholeFile((staged.path() / "sweep.json").string(), ToJson(report).dump(1)));
  REPRISE_RETURN_IF_ERROR(WriteWholeFile((staged.path() / "sweep.html").string(), ToHtml(report)));
  REPRISE_RETURN_IF_ERROR(staged.Commit());
  std::printf(
      "%sWrote %s/sweep.json and sweep.html. For one of these models: the same command with "
      "--budget in place of --sweep.\n",
      DrawSweep(report).c_str(), options.output.c_str());
  return absl::OkStatus();
}

}  // namespace reprise::server::commands
