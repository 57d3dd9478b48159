// A run of the load generator as a page to look at.
#pragma once

#include <string>

#include "loadtest/generator/load_report.h"

namespace reprise::loadtest {

// A self-contained HTML page: latency by percentile, latency and rate over time, and the figures.
// `command` is how the run was started.
std::string LoadPage(const LoadReport& report, const std::string& command);

}  // namespace reprise::loadtest
