// Rows of text lined up in columns.
#pragma once

#include <string>
#include <vector>

namespace reprise::server::commands {

// The first row is the heading. Columns listed in `left_aligned` start on the left, all others, the
// numbers, end on the right. Requires: rows of equal length, in ASCII.
std::string DrawTable(const std::vector<std::vector<std::string>>& rows,
                      const std::vector<bool>& left_aligned);

}  // namespace reprise::server::commands
