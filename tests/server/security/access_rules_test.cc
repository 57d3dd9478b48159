#include "server/security/access_rules.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::security {
namespace {

using reprise::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(AccessRules, WithTokensAllButHealthNeedOne) {
  const AccessRules rules = *ParseAccessRules("", true);
  EXPECT_EQ(rules[MethodGroup::kInference], AccessRule::kToken);
  EXPECT_EQ(rules[MethodGroup::kMetadata], AccessRule::kToken);
  EXPECT_EQ(rules[MethodGroup::kControl], AccessRule::kToken);
  EXPECT_EQ(rules[MethodGroup::kHealth], AccessRule::kOpen);
}

TEST(AccessRules, WithoutTokensAllAreOpen) {
  const AccessRules rules = *ParseAccessRules("", false);
  for (const MethodGroup group : kMethodGroups) EXPECT_EQ(rules[group], AccessRule::kOpen);
  EXPECT_FALSE(rules.need_tokens());
}

TEST(AccessRules, ChangesOnlyWhatIsNamed) {
  const AccessRules rules = *ParseAccessRules("metadata=open,control=closed", true);
  EXPECT_EQ(rules[MethodGroup::kInference], AccessRule::kToken);
  EXPECT_EQ(rules[MethodGroup::kMetadata], AccessRule::kOpen);
  EXPECT_EQ(rules[MethodGroup::kControl], AccessRule::kClosed);
}

TEST(AccessRules, ClosingNeedsNoTokens) {
  EXPECT_EQ((*ParseAccessRules("control=closed", false))[MethodGroup::kControl],
            AccessRule::kClosed);
}

TEST(AccessRules, SaysWhatIsWrong) {
  EXPECT_THAT(ParseAccessRules("admin=open", true), StatusIs(kInvalid, HasSubstr("'admin'")));
  EXPECT_THAT(ParseAccessRules("control=never", true), StatusIs(kInvalid, HasSubstr("'never'")));
  EXPECT_THAT(ParseAccessRules("control", true), StatusIs(kInvalid, HasSubstr("rule")));
  EXPECT_THAT(ParseAccessRules("control=open,", true), StatusIs(kInvalid, HasSubstr("group")));
  EXPECT_THAT(ParseAccessRules("health=open,health=token", true),
              StatusIs(kInvalid, HasSubstr("two rules for health")));
  EXPECT_THAT(ParseAccessRules("health=token", false),
              StatusIs(kInvalid, HasSubstr("--auth-tokens-file")));
}

}  // namespace
}  // namespace reprise::server::security
