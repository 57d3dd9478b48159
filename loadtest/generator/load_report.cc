#include "loadtest/generator/load_report.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace reprise::loadtest {
namespace {

constexpr const char* kCodeNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

constexpr double kPercentiles[] = {50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100};
constexpr double kMostIntervals = 120;

nlohmann::ordered_json ToJson(const LatencyHistogram& latency) {
  nlohmann::ordered_json percentiles = nlohmann::ordered_json::array();
  for (const double percent : kPercentiles) {
    percentiles.push_back({percent, Milliseconds(latency.Percentile(percent))});
  }
  return {{"calls", latency.count()},
          {"mean_ms", 1e-6 * latency.mean_ns()},
          {"p50_ms", Milliseconds(latency.Percentile(50))},
          {"p90_ms", Milliseconds(latency.Percentile(90))},
          {"p99_ms", Milliseconds(latency.Percentile(99))},
          {"p99_9_ms", Milliseconds(latency.Percentile(99.9))},
          {"max_ms", Milliseconds(latency.max())},
          {"percentiles_ms", percentiles}};
}

std::vector<LoadInterval> EmptyIntervals(double seconds) {
  const double width = std::max(1.0, std::ceil(seconds / kMostIntervals));
  std::vector<LoadInterval> intervals;
  do {
    const double start = width * static_cast<double>(intervals.size());
    intervals.push_back({.start_s = start, .seconds = std::min(width, seconds - start)});
  } while (intervals.back().start_s + width < seconds);
  return intervals;
}

void Append(const char* name, const LatencyHistogram& latency, std::string* text) {
  absl::StrAppendFormat(text, "  %-20s", name);
  for (const double percent : {50.0, 90.0, 99.0, 99.9, 100.0}) {
    absl::StrAppendFormat(text, " %9.2f", Milliseconds(latency.Percentile(percent)));
  }
  *text += '\n';
}

}  // namespace

std::string CodeName(::grpc::StatusCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kCodeNames) ? kCodeNames[index] : absl::StrCat("CODE_", index);
}

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

LoadReport MakeReport(const LoadOutcome& outcome) {
  LoadReport report;
  report.seconds =
      std::chrono::duration<double>(outcome.counted_until - outcome.counted_from).count();
  report.calls = std::ssize(outcome.calls);
  report.not_sent = outcome.not_sent;
  report.intervals = EmptyIntervals(report.seconds);
  const double width = report.intervals.size() > 1 ? report.intervals[1].start_s : report.seconds;
  for (const CallRecord& call : outcome.calls) {
    ++report.by_code[CodeName(call.code)];
    report.lateness.Record(call.lateness());
    report.late += call.lateness() > kLate ? 1 : 0;
    const double at = std::chrono::duration<double>(call.due - outcome.counted_from).count();
    LoadInterval& interval =
        report
            .intervals[std::min(static_cast<std::size_t>(at / width), report.intervals.size() - 1)];
    ++interval.due;
    if (call.refused_by_server) report.refused.Record(call.latency());
    if (call.code != ::grpc::StatusCode::OK) continue;
    report.ok.Record(call.latency());
    interval.ok_latency.Record(call.latency());
    ++interval.ok;
  }
  return report;
}

double LoadReport::offered_per_second() const {
  return static_cast<double>(calls + not_sent) / seconds;
}

double LoadReport::ok_per_second() const { return static_cast<double>(ok.count()) / seconds; }

double LoadReport::ok_share() const {
  const std::int64_t all = calls + not_sent;
  return all == 0 ? 0 : static_cast<double>(ok.count()) / static_cast<double>(all);
}

double LoadReport::late_share() const {
  return calls == 0 ? 0 : static_cast<double>(late) / static_cast<double>(calls);
}

nlohmann::ordered_json LoadReport::ToJson() const {
  nlohmann::ordered_json over_time = nlohmann::ordered_json::array();
  for (const LoadInterval& interval : intervals) {
    over_time.push_back({{"start_s", interval.start_s},
                         {"seconds", interval.seconds},
                         {"due", interval.due},
                         {"ok", interval.ok},
                         {"p50_ms", Milliseconds(interval.ok_latency.Percentile(50))},
                         {"p99_ms", Milliseconds(interval.ok_latency.Percentile(99))},
                         {"max_ms", Milliseconds(interval.ok_latency.max())}});
  }
  return {{"valid", valid()},
          {"seconds", seconds},
          {"calls", calls},
          {"calls_per_second", offered_per_second()},
          {"ok_per_second", ok_per_second()},
          {"ok_share", ok_share()},
          {"codes", by_code},
          {"ok", loadtest::ToJson(ok)},
          {"refused", loadtest::ToJson(refused)},
          {"lateness", loadtest::ToJson(lateness)},
          {"late_share", late_share()},
          {"not_sent", not_sent},
          {"intervals", over_time}};
}

std::string LoadReport::ToText() const {
  std::string text = absl::StrFormat("%d calls in %.1f s: %.1f per second, %.1f OK per second\n",
                                     calls, seconds, offered_per_second(), ok_per_second());
  for (const auto& [code, count] : by_code) {
    absl::StrAppendFormat(&text, "  %-20s %9d\n", code, count);
  }
  absl::StrAppendFormat(&text, "  %-20s %9s %9s %9s %9s %9s  ms\n", "latency", "p50", "p90", "p99",
                        "p99.9", "max");
  Append("answered OK", ok, &text);
  if (refused.count() > 0) Append("refused by server", refused, &text);
  Append("sent late by", lateness, &text);
  if (!valid()) {
    absl::StrAppendFormat(
        &text,
        "INVALID: %.1f %% of the calls were sent more than %d ms late, %d not at all; give the "
        "generator a core of its own, more --connections, or a lower rate\n",
        100 * late_share(), kLate.count(), not_sent);
  }
  return text;
}

}  // namespace reprise::loadtest
