#include "server/commands/text_table.h"

#include "gtest/gtest.h"

namespace reprise::server::commands {
namespace {

TEST(TextTable, WordsStartOnTheLeftAndNumbersEndOnTheRight) {
  EXPECT_EQ(DrawTable({{"plan", "ms"}, {"exact", "12.5"}, {"12x6", "8"}}, {true, false}),
            "plan     ms\n"
            "-----  ----\n"
            "exact  12.5\n"
            "12x6      8\n");
}

TEST(TextTable, NoLineEndsInBlanks) {
  EXPECT_EQ(DrawTable({{"a", "note"}, {"1", ""}}, {false, true}),
            "a  note\n"
            "-  ----\n"
            "1\n");
}

}  // namespace
}  // namespace reprise::server::commands
