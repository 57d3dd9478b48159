#include "loadtest/generator/verdict.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/loadtest/made_outcome.h"

namespace reprise::loadtest {
namespace {

using ::testing::HasSubstr;

const std::set<std::string> kAllOfThem = {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"};

TEST(Verdict, AnErrorThatIsNotAllowedIsSeen) {
  const LoadReport report = MakeReport(MadeOutcome());
  std::string why;
  EXPECT_EQ(Judge(report, {}, &why), Verdict::kErrorsSeen);
  EXPECT_EQ(why, "errors: 1 DEADLINE_EXCEEDED, 1 RESOURCE_EXHAUSTED");
  EXPECT_EQ(Judge(report, {.allowed = {"RESOURCE_EXHAUSTED"}}, &why), Verdict::kErrorsSeen);
  EXPECT_EQ(Judge(report, {.allowed = kAllOfThem}, &why), Verdict::kKept);
  EXPECT_EQ(why, "");
}

TEST(Verdict, ALongerP99MissesTheObjective) {
  const LoadReport report = MakeReport(MadeOutcome());
  std::string why;
  EXPECT_EQ(Judge(report, {.p99_ms = 30, .allowed = kAllOfThem}, &why), Verdict::kKept);
  EXPECT_EQ(Judge(report, {.p99_ms = 29, .allowed = kAllOfThem}, &why), Verdict::kSloMissed);
  EXPECT_THAT(why, HasSubstr("p99 is 30.00 ms; 29 ms"));
}

TEST(Verdict, NoAnswerAtAllMissesAnyObjective) {
  LoadOutcome outcome = MadeOutcome();
  outcome.calls = {outcome.calls[1]};
  std::string why;
  EXPECT_EQ(Judge(MakeReport(outcome), {.p99_ms = 30, .allowed = kAllOfThem}, &why),
            Verdict::kSloMissed);
}

TEST(Verdict, ALateGeneratorJudgesNothingElse) {
  LoadOutcome outcome = MadeOutcome();
  outcome.not_sent = 1;
  std::string why;
  EXPECT_EQ(Judge(MakeReport(outcome), {.p99_ms = 1}, &why), Verdict::kGeneratorTooSlow);
}

}  // namespace
}  // namespace reprise::loadtest
