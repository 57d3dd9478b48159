// Whether a run kept what was expected of it: what a script asks.
#pragma once

#include <set>
#include <string>

#include "loadtest/generator/load_report.h"

namespace reprise::loadtest {

enum class Verdict : int {  // the program's exit status
  kKept = 0,
  kSloMissed = 3,
  kErrorsSeen = 4,
  kGeneratorTooSlow = 5,  // whatever else was seen may be the generator's own doing
};

struct Expectations {
  double p99_ms = 0;                // of calls that were answered OK; 0: any
  std::set<std::string> allowed{};  // codes, beside OK, that are no errors
};

// The last of Verdict that holds; `why` gets a sentence for it, empty for kKept.
Verdict Judge(const LoadReport& report, const Expectations& expectations, std::string* why);

}  // namespace reprise::loadtest
