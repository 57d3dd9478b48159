#include "server/commands/machine_load.h"

#include <sys/times.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace reprise::server::commands {

MachineLoad::MachineLoad() : begin_(Read()) {}

double MachineLoad::OthersShare() const {
  const Ticks now = Read();
  const std::int64_t total = now.total - begin_.total;
  if (total <= 0) return 0;
  const std::int64_t others = (now.busy - begin_.busy) - (now.own - begin_.own);
  return static_cast<double>(std::clamp<std::int64_t>(others, 0, total)) /
         static_cast<double>(total);
}

MachineLoad::Ticks MachineLoad::Read() {
  // "cpu user nice system idle iowait irq softirq steal ...", in the ticks that times() uses too.
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word;
  Ticks ticks;
  for (int field = 0; field < 8; ++field) {
    std::int64_t value = 0;
    if (!(file >> value)) break;
    ticks.total += value;
    if (field != 3 && field != 4) ticks.busy += value;
  }
  tms own{};
  times(&own);
  ticks.own = static_cast<std::int64_t>(own.tms_utime) + own.tms_stime;
  return ticks;
}

}  // namespace reprise::server::commands
