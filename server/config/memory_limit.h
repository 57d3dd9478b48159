// How much memory this process may use.
#pragma once

#include <cstdint>
#include <string>

namespace reprise::server::config {

// The least of the machine's memory and the limits of the control groups the process is in, version
// 1 or 2, in bytes. `root` is put before /proc and /sys, for tests.
std::int64_t MemoryLimit(const std::string& root = "");

}  // namespace reprise::server::config
