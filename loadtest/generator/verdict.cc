#include "loadtest/generator/verdict.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace reprise::loadtest {

Verdict Judge(const LoadReport& report, const Expectations& expectations, std::string* why) {
  why->clear();
  if (!report.valid()) {
    *why = "the generator did not keep to its plan";
    return Verdict::kGeneratorTooSlow;
  }
  std::string errors;
  for (const auto& [code, calls] : report.by_code) {
    if (code == "OK" || expectations.allowed.count(code) > 0) continue;
    absl::StrAppend(&errors, errors.empty() ? "" : ", ", calls, " ", code);
  }
  if (!errors.empty()) {
    *why = absl::StrCat("errors: ", errors);
    return Verdict::kErrorsSeen;
  }
  const double p99_ms = Milliseconds(report.ok.Percentile(99));
  if (expectations.p99_ms > 0 && (report.ok.count() == 0 || p99_ms > expectations.p99_ms)) {
    *why = absl::StrFormat("p99 is %.2f ms; %g ms were asked for", p99_ms, expectations.p99_ms);
    return Verdict::kSloMissed;
  }
  return Verdict::kKept;
}

}  // namespace reprise::loadtest
