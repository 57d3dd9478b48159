// Counts and sizes as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace reprise::server::commands {

// Three significant digits with a decimal prefix: 87, 1.23 k, 45.6 M, 789 G.
std::string CountText(double count);
// The same in powers of 1024: 512 B, 1.50 KiB, 64.0 MiB. Negative values keep their sign.
std::string ByteText(std::int64_t bytes);

}  // namespace reprise::server::commands
