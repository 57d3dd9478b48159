#include "server/simulation/batch_cost.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::server::simulation {
namespace {

constexpr int kParts = 3;  // fixed, per token, per square
using Parts = std::array<double, kParts>;

// What each part is multiplied with for one batch, over its time: their sum should be 1.
Parts RelativeParts(const MeasuredBatch& batch) {
  const double ns = 1e6 * batch.milliseconds;
  const auto tokens = static_cast<double>(batch.batch_size * batch.seq_len);
  return {1e3 / ns, 1e3 * tokens / ns, tokens * static_cast<double>(batch.seq_len) / ns};
}

// Least squares over the parts in `used`, a set of bits, by the normal equations; nothing when
// these parts cannot be told apart, or one comes out negative.
std::optional<Parts> Solve(const std::vector<MeasuredBatch>& batches, unsigned used) {
  std::array<std::array<double, kParts + 1>, kParts> rows{};
  for (const MeasuredBatch& batch : batches) {
    const Parts parts = RelativeParts(batch);
    for (int i = 0; i < kParts; ++i) {
      for (int j = 0; j < kParts; ++j) rows[i][j] += parts[i] * parts[j];
      rows[i][kParts] += parts[i];
    }
  }
  Parts solution{};
  std::vector<int> columns;
  for (int i = 0; i < kParts; ++i) {
    if ((used >> i & 1) != 0) columns.push_back(i);
  }
  // Gauss-Jordan; positive semidefinite, so the diagonal needs no pivoting.
  for (const int column : columns) {
    const double scale = rows[column][column];
    for (const MeasuredBatch& batch : batches) {
      // Compared with what it was before elimination: rounding is all that is left of it.
      const double part = RelativeParts(batch)[column];
      if (scale <= 1e-9 * part * part) return std::nullopt;
    }
    for (double& value : rows[column]) value /= scale;
    for (const int other : columns) {
      if (other == column) continue;
      const double factor = rows[other][column];
      for (int j = 0; j <= kParts; ++j) rows[other][j] -= factor * rows[column][j];
    }
  }
  for (const int column : columns) {
    solution[column] = rows[column][kParts];
    if (!(solution[column] >= 0)) return std::nullopt;
  }
  return solution;
}

}  // namespace

std::chrono::nanoseconds BatchCost::Time(std::int64_t tokens, std::int64_t squares) const {
  const double ns = 1e3 * fixed_us + 1e3 * per_token_us * static_cast<double>(tokens) +
                    per_square_ns * static_cast<double>(squares);
  return std::chrono::nanoseconds(
      std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(ns, 1e18))));
}

CostFit FitCost(const std::vector<MeasuredBatch>& batches) {
  REPRISE_CHECK(!batches.empty());
  CostFit best;
  double best_squares = std::numeric_limits<double>::infinity();
  // So few parts that each choice of those that are not zero can be tried. Time per token comes
  // first: it is what a single measurement should mean.
  for (const unsigned used : {2U, 1U, 4U, 3U, 6U, 5U, 7U}) {
    const std::optional<Parts> parts = Solve(batches, used);
    if (!parts) continue;
    double squares = 0;
    double largest = 0;
    for (const MeasuredBatch& batch : batches) {
      const Parts relative = RelativeParts(batch);
      double sum = 0;
      for (int i = 0; i < kParts; ++i) sum += (*parts)[i] * relative[i];
      squares += (sum - 1) * (sum - 1);
      largest = std::max(largest, std::abs(sum - 1));
    }
    // One part more must be worth it beyond rounding.
    if (squares > best_squares * 0.999 - 1e-12) continue;
    best_squares = squares;
    best = {{(*parts)[0], (*parts)[1], (*parts)[2]}, largest};
  }
  return best;
}

absl::StatusOr<std::vector<MeasuredBatch>> ReadBenchReport(std::string_view json,
                                                           std::string_view plan,
                                                           std::string_view precision) {
  REPRISE_ASSIGN_OR_RETURN(const nlohmann::json report,
                           engine::weights::ParseJson(json, "the bench report"));
  std::vector<MeasuredBatch> batches;
  std::set<std::string> all, fitting;
  try {
    for (const nlohmann::json& row : report.at("rows")) {
      const auto row_plan = row.at("plan").get<std::string>();
      const auto row_precision = row.at("precision").get<std::string>();
      const std::string name = absl::StrCat(row_plan, " in ", row_precision, " (",
                                            row.at("strategy").get<std::string>(), ")");
      all.insert(name);
      if ((!plan.empty() && row_plan != plan) ||
          (!precision.empty() && row_precision != precision)) {
        continue;
      }
      const auto batch_size = row.at("batch_size").get<std::int64_t>();
      const auto seq_len = row.at("seq_len").get<std::int64_t>();
      // The fit is for sequences of equal length.
      if (row.value("tokens", batch_size * seq_len) != batch_size * seq_len) continue;
      fitting.insert(name);
      batches.push_back({batch_size, seq_len, row.at("median_ms").get<double>()});
      const MeasuredBatch& batch = batches.back();
      if (batch.batch_size < 1 || batch.seq_len < 1 || batch.batch_size > 1 << 24 ||
          batch.seq_len > 1 << 24 || !(batch.milliseconds > 0)) {
        return absl::InvalidArgumentError(
            absl::StrCat("the bench report has a row of ", batch.batch_size, " x ", batch.seq_len,
                         " tokens in ", batch.milliseconds, " ms; expected all above 0"));
      }
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("this is no report of reprise bench --json: ", error.what()));
  }
  if (fitting.size() == 1) return batches;
  return absl::InvalidArgumentError(absl::StrCat(
      "the bench report has rows of ", all.empty() ? "nothing" : absl::StrJoin(all, ", "), "; ",
      fitting.empty() ? "none fits" : "several fit", ": choose by plan and precision"));
}

}  // namespace reprise::server::simulation
