#include "server/wire/server_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::wire {
namespace {

const std::vector<ModelIndexEntry> kIndex = {{"a", "1", ModelState::kReady, ""},
                                             {"b", "2", ModelState::kUnavailable, "no weights"}};

TEST(ServerReportTest, SaysWhoTheServerIsAndWhatItCanDo) {
  const inference::ServerMetadataResponse metadata = ToServerMetadata();
  EXPECT_EQ(metadata.name(), "reprise");
  EXPECT_THAT(metadata.version(), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(metadata.extensions(), ::testing::Contains("classification"));
}

TEST(ServerReportTest, ListsModelsWithTheirState) {
  const auto reply = ToRepositoryIndex(kIndex, {});
  ASSERT_THAT(reply, reprise::testing::IsOk());
  ASSERT_EQ(reply->models_size(), 2);
  EXPECT_EQ(reply->models(0).state(), "READY");
  EXPECT_EQ(reply->models(1).name(), "b");
  EXPECT_EQ(reply->models(1).version(), "2");
  EXPECT_EQ(reply->models(1).state(), "UNAVAILABLE");
  EXPECT_EQ(reply->models(1).reason(), "no weights");
}

TEST(ServerReportTest, ListsReadyModelsAloneWhenAsked) {
  inference::RepositoryIndexRequest request;
  request.set_ready(true);
  const auto reply = ToRepositoryIndex(kIndex, request);
  ASSERT_THAT(reply, reprise::testing::IsOk());
  ASSERT_EQ(reply->models_size(), 1);
  EXPECT_EQ(reply->models(0).name(), "a");
}

TEST(ServerReportTest, HasNoNamedRepository) {
  inference::RepositoryIndexRequest request;
  request.set_repository_name("other");
  EXPECT_THAT(ToRepositoryIndex(kIndex, request),
              reprise::testing::StatusIs(absl::StatusCode::kUnimplemented,
                                         ::testing::HasSubstr("'other'")));
}

}  // namespace
}  // namespace reprise::server::wire
