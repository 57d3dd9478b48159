#include "loadtest/generator/load_report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace reprise::loadtest {
namespace {

const char* NameOf(::grpc::StatusCode code) {
  switch (code) {
    case ::grpc::OK:
      return "OK";
    case ::grpc::CANCELLED:
      return "CANCELLED";
    case ::grpc::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case ::grpc::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case ::grpc::NOT_FOUND:
      return "NOT_FOUND";
    case ::grpc::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case ::grpc::INTERNAL:
      return "INTERNAL";
    case ::grpc::UNAVAILABLE:
      return "UNAVAILABLE";
    default:
      return "OTHER";
  }
}

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

std::chrono::nanoseconds Percentile(std::vector<std::chrono::nanoseconds> values, double percent) {
  if (values.empty()) return {};
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

LoadReport::LoadReport(const std::vector<CallOutcome>& outcomes, std::chrono::nanoseconds span)
    : seconds_(std::chrono::duration<double>(span).count()),
      calls_(static_cast<std::int64_t>(outcomes.size())) {
  std::vector<std::chrono::nanoseconds> ok, refused;
  for (const CallOutcome& outcome : outcomes) {
    ++by_code_[NameOf(outcome.code)];
    if (outcome.code == ::grpc::StatusCode::OK) ok.push_back(outcome.latency);
    if (outcome.refused_by_server) refused.push_back(outcome.latency);
  }
  ok_ = Summarize(ok);
  refused_ = Summarize(refused);
}

LoadReport::Latencies LoadReport::Summarize(const std::vector<std::chrono::nanoseconds>& values) {
  return {static_cast<std::int64_t>(values.size()), Milliseconds(Percentile(values, 50)),
          Milliseconds(Percentile(values, 90)), Milliseconds(Percentile(values, 99)),
          Milliseconds(Percentile(values, 100))};
}

nlohmann::json LoadReport::ToJson(const Latencies& latencies) {
  return {{"calls", latencies.calls},
          {"p50_ms", latencies.p50_ms},
          {"p90_ms", latencies.p90_ms},
          {"p99_ms", latencies.p99_ms},
          {"max_ms", latencies.max_ms}};
}

nlohmann::json LoadReport::ToJson() const {
  return {{"seconds", seconds_},
          {"calls", calls_},
          {"calls_per_second", static_cast<double>(calls_) / seconds_},
          {"ok_per_second", static_cast<double>(ok_.calls) / seconds_},
          {"codes", by_code_},
          {"ok", ToJson(ok_)},
          {"refused", ToJson(refused_)}};
}

std::string LoadReport::ToText() const {
  std::string text = absl::StrFormat("%d calls in %.1f s: %.1f per second, %.1f OK per second\n",
                                     calls_, seconds_, static_cast<double>(calls_) / seconds_,
                                     static_cast<double>(ok_.calls) / seconds_);
  for (const auto& [code, calls] : by_code_)
    absl::StrAppendFormat(&text, "  %-20s %9d\n", code, calls);
  absl::StrAppendFormat(&text, "  %-20s %9s %9s %9s %9s  ms\n", "latency", "p50", "p90", "p99",
                        "max");
  for (const auto& [name, of] : {std::pair{"answered OK", ok_}, {"refused by server", refused_}}) {
    absl::StrAppendFormat(&text, "  %-20s %9.2f %9.2f %9.2f %9.2f\n", name, of.p50_ms, of.p90_ms,
                          of.p99_ms, of.max_ms);
  }
  return text;
}

}  // namespace reprise::loadtest
