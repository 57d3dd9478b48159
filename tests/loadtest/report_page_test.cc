#include "loadtest/generator/report_page.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/loadtest/made_outcome.h"

namespace reprise::loadtest {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LoadPage, HasTheChartsTheFiguresAndTheCommand) {
  const std::string page = LoadPage(MakeReport(MadeOutcome()), "reprise_load --model <m>");
  for (const char* id : {"id=\"percentiles\"", "id=\"latency\"", "id=\"rate\""}) {
    EXPECT_THAT(page, HasSubstr(id));
  }
  EXPECT_THAT(page, HasSubstr("reprise_load --model &lt;m&gt;"));
  EXPECT_THAT(page, HasSubstr("1.0 OK per second\n  DEADLINE_EXCEEDED"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
}

TEST(LoadPage, OfNoCallsIsAPageAllTheSame) {
  LoadOutcome outcome = MadeOutcome();
  outcome.calls.clear();
  const std::string page = LoadPage(MakeReport(outcome), "x");
  EXPECT_THAT(page, HasSubstr("</html>"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace reprise::loadtest
