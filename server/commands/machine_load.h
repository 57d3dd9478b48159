// How busy other programs kept the machine while something was measured.
#pragma once

#include <cstdint>

namespace reprise::server::commands {

// Measures from its construction. Not thread-safe.
class MachineLoad {
 public:
  MachineLoad();
  // Share of the machine's processor time that other processes used since construction, 0 to 1; 0
  // where the kernel does not tell.
  double OthersShare() const;

 private:
  struct Ticks {
    std::int64_t total = 0;  // of all cores, idle included
    std::int64_t busy = 0;
    std::int64_t own = 0;  // of this process
  };
  static Ticks Read();

  const Ticks begin_;
};

}  // namespace reprise::server::commands
