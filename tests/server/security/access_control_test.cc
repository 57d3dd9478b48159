#include "server/security/access_control.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::security {
namespace {

using reprise::testing::IsOk;
using reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kUnauthenticated = absl::StatusCode::kUnauthenticated;
constexpr auto kPermissionDenied = absl::StatusCode::kPermissionDenied;

class AccessControlTest : public ::testing::Test {
 protected:
  AccessControlTest() {
    const std::string lines =
        *TokenLine("alice", alice_, *ParseGroups("inference,metadata")) + "\n" +
        *TokenLine("root", root_, *ParseGroups("inference,metadata,control,health")) + "\n";
    const std::string path = folder_.Write("tokens", lines);
    store_ = *TokenStore::Open({path}, [](const std::vector<std::string>& contents) {
      return TokenTable::Parse(contents.front());
    });
    access_ = std::make_unique<AccessControl>(AccessRules(true), store_.get());
  }

  absl::StatusOr<std::string> Ask(MethodGroup group, std::vector<std::string_view> headers) const {
    return access_->Authorize(group, headers);
  }

  const std::string alice_ = *NewToken();
  const std::string root_ = *NewToken();
  const std::string alice_header_ = "Bearer " + alice_;
  reprise::testing::TemporaryDirectory folder_;
  std::unique_ptr<TokenStore> store_;
  std::unique_ptr<AccessControl> access_;
};

TEST_F(AccessControlTest, ATokenOpensItsGroupsAndTellsItsOwner) {
  const auto caller = Ask(MethodGroup::kInference, {alice_header_});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(*caller, "alice");
  EXPECT_EQ(*Ask(MethodGroup::kControl, {"Bearer " + root_}), "root");
}

TEST_F(AccessControlTest, ATokenOpensNoOtherGroup) {
  EXPECT_THAT(Ask(MethodGroup::kControl, {alice_header_}),
              StatusIs(kPermissionDenied, AllOf(HasSubstr("alice"), HasSubstr("control"),
                                                HasSubstr("inference,metadata"))));
}

TEST_F(AccessControlTest, HealthNeedsNoToken) {
  EXPECT_EQ(*Ask(MethodGroup::kHealth, {}), "");
  EXPECT_EQ(*Ask(MethodGroup::kHealth, {"Bearer wrong"}), "");
}

TEST_F(AccessControlTest, NoTokenIsUnauthenticatedAndSaysWhatToSend) {
  EXPECT_THAT(Ask(MethodGroup::kInference, {}),
              StatusIs(kUnauthenticated, HasSubstr("authorization: Bearer TOKEN")));
}

TEST_F(AccessControlTest, AnUnknownTokenIsUnauthenticatedAndNotRepeated) {
  EXPECT_THAT(Ask(MethodGroup::kInference, {"Bearer made-up-token-of-mine"}),
              StatusIs(kUnauthenticated, Not(HasSubstr("made-up"))));
  // Nearly right is wrong.
  EXPECT_THAT(Ask(MethodGroup::kInference, {alice_header_ + "x"}),
              StatusIs(kUnauthenticated, HasSubstr("")));
}

TEST_F(AccessControlTest, OnlyTheSchemeBearerCounts) {
  for (const std::string& header :
       {alice_, "Basic " + alice_, std::string("Bearer"), std::string("Bearer "),
        std::string("Bearer   "), "Bearer" + alice_, std::string()}) {
    EXPECT_THAT(Ask(MethodGroup::kInference, {header}), StatusIs(kUnauthenticated, HasSubstr("")))
        << header.substr(0, 8);
  }
  EXPECT_THAT(Ask(MethodGroup::kInference, {"bEARER   " + alice_}), IsOk());
}

TEST_F(AccessControlTest, TwoHeadersAreNoneAtAll) {
  EXPECT_THAT(Ask(MethodGroup::kInference, {alice_header_, alice_header_}),
              StatusIs(kUnauthenticated, HasSubstr("found 2")));
}

TEST_F(AccessControlTest, AClosedGroupIsClosedToEverybody) {
  AccessRules rules(true);
  rules.Set(MethodGroup::kControl, AccessRule::kClosed);
  const AccessControl access(rules, store_.get());
  const std::string header = "Bearer " + root_;
  const std::vector<std::string_view> headers = {header};
  EXPECT_THAT(access.Authorize(MethodGroup::kControl, headers),
              StatusIs(kPermissionDenied, HasSubstr("--auth-rules")));
}

TEST_F(AccessControlTest, ATokenThatLeftTheFileIsNoLongerGood) {
  folder_.Write("tokens", *TokenLine("root", root_, *ParseGroups("inference")) + "\n");
  ASSERT_TRUE(*store_->Refresh());
  EXPECT_THAT(Ask(MethodGroup::kInference, {alice_header_}),
              StatusIs(kUnauthenticated, HasSubstr("")));
  EXPECT_THAT(Ask(MethodGroup::kInference, {"Bearer " + root_}), IsOk());
}

TEST(AccessControl, WithoutTokensEverythingIsOpen) {
  const AccessControl access{AccessRules(false)};
  for (const MethodGroup group : kMethodGroups) EXPECT_THAT(access.Authorize(group, {}), IsOk());
}

}  // namespace
}  // namespace reprise::server::security
