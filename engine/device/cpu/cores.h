// Which processors this process may run on.
#pragma once

#include <string>
#include <vector>

namespace reprise::engine::device {

// At least 1. Fewer than the machine has where the process is confined, as in a container.
int UsableCores();

// Their numbers, the cores of one memory node next to each other, so that neighbours in this list
// share memory. In ascending order where the machine has one node, or does not tell. `sysfs` is
// where the kernel describes the machine.
std::vector<int> CoresByNode(const std::string& sysfs = "/sys/devices/system");

}  // namespace reprise::engine::device
