#include "server/commands/bench_ops.h"

#include <array>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/cpu_backend.h"
#include "nlohmann/json.hpp"
#include "server/commands/quantity_text.h"
#include "server/commands/text_table.h"

namespace reprise::server::commands {
namespace {

using engine::Precision;
using engine::analysis::OpTime;

std::string Fixed(double value, int decimals) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

double PerSecond(double amount, const OpTime& op) { return 1e3 * amount / op.milliseconds; }

// What the arithmetic units can do in a precision, per second.
double FlopsLimit(const OpReport& report, Precision precision) {
  return precision == Precision::kBF16 ? report.limits.bf16_flops : report.limits.fp32_flops;
}

std::vector<std::string> Cells(const OpTime& op, double flops_limit) {
  const double flops = PerSecond(op.flops, op);
  return {op.op,
          op.shape,
          Fixed(op.milliseconds, 3),
          flops > 0 ? Fixed(1e-12 * flops, 3) : "-",
          flops > 0 ? Fixed(100 * flops / flops_limit, 0) + " %" : "-",
          op.memory_bytes > 0 ? Fixed(1e-9 * PerSecond(op.memory_bytes, op), 1) : "-"};
}

std::string DrawLimits(const OpReport& report) {
  std::string text =
      absl::StrCat("This machine: fp32 ", Fixed(1e-12 * report.limits.fp32_flops, 3), " TFLOP/s");
  if (report.limits.bf16_flops > 0) {
    absl::StrAppend(&text, ", bf16 ", Fixed(1e-12 * report.limits.bf16_flops, 3), " TFLOP/s");
  }
  absl::StrAppend(&text, ", all threads together, on registers.\nReads of");
  for (const engine::device::ReadRate& read : report.limits.reads) {
    absl::StrAppend(&text, &read == report.limits.reads.data() ? " " : ", ",
                    ByteText(read.buffer_bytes), " ", Fixed(1e-9 * read.bytes_per_second, 0),
                    " GB/s");
  }
  return absl::StrCat(text, ", each thread its own buffer.\n");
}

}  // namespace

absl::StatusOr<OpReport> TimeModelOps(const std::vector<BenchModel>& models,
                                      const BenchTimingOptions& options,
                                      const std::function<void(int done, int total)>& progress) {
  engine::device::ThreadTeam team({options.threads, options.pin_threads});
  OpReport report;
  report.limits = engine::device::MeasureMachineLimits(team);
  const int cases =
      static_cast<int>(models.size() * options.batch_sizes.size() * options.seq_lens.size());
  for (const BenchModel& model : models) {
    for (const std::int64_t batch_size : options.batch_sizes) {
      for (const std::int64_t seq_len : options.seq_lens) {
        const int before = static_cast<int>(report.rows.size());
        REPRISE_ASSIGN_OR_RETURN(
            std::vector<OpTime> ops,
            engine::analysis::TimeOps(
                team,
                {&model.model->config(), &engine::CpuWeights(*model.model),
                 engine::ElementType(model.model->precision())},
                {batch_size, seq_len, options.repetitions, options.seed},
                [&](int done, int total) { progress(before * total + done, cases * total); }));
        report.rows.push_back(
            {model.plan, model.model->precision(), batch_size, seq_len, std::move(ops)});
      }
    }
  }
  return report;
}

nlohmann::ordered_json ToJson(const OpReport& report) {
  nlohmann::ordered_json reads = nlohmann::ordered_json::array();
  for (const engine::device::ReadRate& read : report.limits.reads) {
    reads.push_back(
        {{"buffer_bytes", read.buffer_bytes}, {"bytes_per_second", read.bytes_per_second}});
  }
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const OpRows& row : report.rows) {
    for (const OpTime& op : row.ops) {
      rows.push_back({{"plan", row.plan},
                      {"precision", engine::Name(row.precision)},
                      {"batch_size", row.batch_size},
                      {"seq_len", row.seq_len},
                      {"op", op.op},
                      {"shape", op.shape},
                      {"median_ms", op.milliseconds},
                      {"flops_per_second", PerSecond(op.flops, op)},
                      {"memory_bytes_per_second", PerSecond(op.memory_bytes, op)}});
    }
  }
  return {{"limits",
           {{"fp32_flops", report.limits.fp32_flops},
            {"bf16_flops", report.limits.bf16_flops},
            {"reads", reads}}},
          {"ops", rows}};
}

std::string DrawOpReport(const OpReport& report) {
  std::string text = DrawLimits(report);
  for (const OpRows& row : report.rows) {
    absl::StrAppend(&text, "\nPlan ", row.plan, ", ", std::string(engine::Name(row.precision)),
                    ", batch ", row.batch_size, " x ", row.seq_len, ":\n");
    std::vector<std::vector<std::string>> cells = {
        {"kernel", "shape", "median ms", "TFLOP/s", "of limit", "GB/s"}};
    for (const OpTime& op : row.ops) {
      cells.push_back(Cells(op, FlopsLimit(report, row.precision)));
    }
    text += DrawTable(cells, {true, true, false, false, false, false});
  }
  text +=
      "GB/s: weights or scores, read or written once per call; activations not counted, but in "
      "the norm.\n";
  return text;
}

}  // namespace reprise::server::commands
