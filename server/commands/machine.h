// What a benchmark ran on, so that its figures can be compared or left uncompared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nlohmann/json_fwd.hpp"

namespace reprise::server::commands {

struct CacheLevel {
  int level = 0;
  std::string type;  // "Data", "Instruction" or "Unified"
  std::int64_t bytes = 0;
};

struct Machine {
  std::string cpu;                 // the model name the kernel gives; "unknown" without one
  std::string isa;                 // what our kernels and oneDNN use, and why
  int cores = 0;                   // that this process may run on
  std::vector<CacheLevel> caches;  // of the first core
  std::int64_t memory_bytes = 0;
  std::string kernel;
  std::string program;  // release and commit
};

// Reads /proc and /sys; what they do not tell stays empty. Fixes the instruction set of the process
// (device::ActiveCpuIsa).
Machine DescribeMachine();

// The most memory that this process has had resident; 0 where the kernel does not tell.
std::int64_t PeakResidentBytes();

nlohmann::ordered_json ToJson(const Machine& machine);
// One or two lines for a terminal.
std::string ToText(const Machine& machine);

}  // namespace reprise::server::commands
