#include "server/commands/text_table.h"

#include <algorithm>

#include "engine/check.h"

namespace reprise::server::commands {
namespace {

void AppendRow(const std::vector<std::string>& row, const std::vector<std::size_t>& widths,
               const std::vector<bool>& left_aligned, std::string* text) {
  std::string line;
  for (std::size_t column = 0; column < row.size(); ++column) {
    const std::string padding(widths[column] - row[column].size(), ' ');
    if (column > 0) line += "  ";
    line += left_aligned[column] ? row[column] + padding : padding + row[column];
  }
  line.erase(line.find_last_not_of(' ') + 1);
  *text += line + "\n";
}

}  // namespace

std::string DrawTable(const std::vector<std::vector<std::string>>& rows,
                      const std::vector<bool>& left_aligned) {
  std::vector<std::size_t> widths(left_aligned.size(), 0);
  for (const std::vector<std::string>& row : rows) {
    REPRISE_CHECK(row.size() == widths.size());
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    AppendRow(rows[i], widths, left_aligned, &text);
    if (i > 0) continue;
    std::vector<std::string> rule;
    for (const std::size_t width : widths) rule.emplace_back(width, '-');
    AppendRow(rule, widths, left_aligned, &text);
  }
  return text;
}

}  // namespace reprise::server::commands
