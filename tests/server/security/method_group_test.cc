#include "server/security/method_group.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"

namespace reprise::server::security {
namespace {

using reprise::testing::StatusIs;
using ::testing::HasSubstr;

TEST(MethodGroup, NamesAreReadBack) {
  for (const MethodGroup group : kMethodGroups) EXPECT_EQ(*ParseMethodGroup(Name(group)), group);
  EXPECT_THAT(ParseMethodGroup("admin"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'admin'")));
}

TEST(MethodGroup, MethodsAreWhereTheyBelong) {
  EXPECT_EQ(GroupOf("ModelInfer"), MethodGroup::kInference);
  EXPECT_EQ(GroupOf("ModelStreamInfer/stream"), MethodGroup::kInference);
  EXPECT_EQ(GroupOf("ServerReflectionInfo"), MethodGroup::kMetadata);
  EXPECT_EQ(GroupOf("_unknown"), MethodGroup::kMetadata);
  EXPECT_EQ(GroupOf("RepositoryModelLoad"), MethodGroup::kControl);
  EXPECT_EQ(GroupOf("Health/Watch"), MethodGroup::kHealth);
}

TEST(MethodGroup, AMethodThatNobodyListedIsControl) {
  EXPECT_EQ(GroupOf("Launch"), MethodGroup::kControl);
  EXPECT_EQ(GroupOf(""), MethodGroup::kControl);
}

// Whoever adds a method says in method_group.cc who may call it.
TEST(MethodGroup, EveryMethodThatIsCountedHasAGroup) {
  std::ifstream file(std::string(REPRISE_SOURCE_DIR) + "/server/metrics/metrics.json");
  const nlohmann::json catalogue = nlohmann::json::parse(file);
  const auto& methods = catalogue.at("label_sets").at("method").at("values");
  ASSERT_FALSE(methods.empty());
  for (const std::string method : methods) EXPECT_TRUE(HasGroup(method)) << method;
}

}  // namespace
}  // namespace reprise::server::security
