#include "server/repository/model_repository.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::repository {
namespace {

namespace fs = std::filesystem;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

class ModelRepositoryTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(root_); }

  void Write(const fs::path& path, const std::string& text = "{}") {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  absl::StatusOr<std::vector<ModelDirectory>> Find() const {
    return FindModels({.path = root_.string()});
  }

  const TemporaryDirectory directory_;
  const fs::path base_ = directory_.path();
  const fs::path root_ = base_ / "models";
};

std::vector<std::int64_t> Versions(const ModelDirectory& model) {
  std::vector<std::int64_t> versions;
  for (const VersionDirectory& version : model.versions) versions.push_back(version.version);
  return versions;
}

TEST_F(ModelRepositoryTest, FindsModelsByNameWithTheirLatestVersion) {
  Write(root_ / "zeta" / "1" / "config.json");
  Write(root_ / "alpha" / "9" / "config.json");
  Write(root_ / "alpha" / "10" / "config.json");
  const auto models = Find();
  ASSERT_OK(models);
  ASSERT_EQ(models->size(), 2u);
  EXPECT_EQ(models->at(0).name, "alpha");
  EXPECT_THAT(Versions(models->at(0)), ElementsAre(10));
  EXPECT_EQ(models->at(0).versions[0].path, (fs::canonical(root_) / "alpha" / "10").string());
  EXPECT_EQ(models->at(1).name, "zeta");
}

TEST_F(ModelRepositoryTest, ModelJsonOverridesTheDefaults) {
  Write(root_ / "m" / "1" / "config.json");
  Write(root_ / "m" / "2" / "config.json");
  Write(root_ / "m" / "model.json", R"({"versions": "all", "executors": 5})");
  RepositoryOptions options{.path = root_.string()};
  options.defaults.executors = 2;
  options.defaults.threads = 7;
  const auto models = FindModels(options);
  ASSERT_OK(models);
  EXPECT_THAT(Versions(models->at(0)), ElementsAre(1, 2));
  EXPECT_EQ(models->at(0).options.executors, 5);
  EXPECT_EQ(models->at(0).options.threads, 7);
}

TEST_F(ModelRepositoryTest, ListedVersionsMustExist) {
  Write(root_ / "m" / "1" / "config.json");
  Write(root_ / "m" / "model.json", R"({"versions": [1, 4]})");
  EXPECT_THAT(Find(), StatusIs(kNotFound, HasSubstr("has no version 4")));
}

TEST_F(ModelRepositoryTest, FaultsOfModelJsonNameTheFile) {
  Write(root_ / "m" / "1" / "config.json");
  Write(root_ / "m" / "model.json", R"({"max_batch": 3})");
  EXPECT_THAT(Find(),
              StatusIs(kInvalid, AllOf(HasSubstr("m/model.json"), HasSubstr("'max_batch'"))));
}

TEST_F(ModelRepositoryTest, ModelJsonThatIsAFolderIsRefused) {
  Write(root_ / "m" / "1" / "config.json");
  fs::create_directories(root_ / "m" / "model.json");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("is not a file")));
}

TEST_F(ModelRepositoryTest, BareCheckpointIsAModelOfVersionOne) {
  Write(root_ / "config.json");
  const auto models = Find();
  ASSERT_OK(models);
  EXPECT_EQ(models->at(0).name, "models");
  EXPECT_THAT(Versions(models->at(0)), ElementsAre(1));
  const auto named = FindModels({.path = root_.string() + "/", .model_name = "mini"});
  ASSERT_OK(named);
  EXPECT_EQ(named->at(0).name, "mini");
}

TEST_F(ModelRepositoryTest, ModelNameOfARepositoryIsRefused) {
  Write(root_ / "m" / "1" / "config.json");
  EXPECT_THAT(FindModels({.path = root_.string(), .model_name = "x"}),
              StatusIs(kInvalid, HasSubstr("--model-name 'x'")));
}

TEST_F(ModelRepositoryTest, PassesOverHiddenEntriesFilesAndOtherFolders) {
  Write(root_ / ".git" / "config");
  Write(root_ / "README.md");
  Write(root_ / "m" / "1" / "config.json");
  Write(root_ / "m" / "01" / "config.json");
  Write(root_ / "m" / "0" / "config.json");
  Write(root_ / "m" / "training" / "log");
  Write(root_ / "m" / "-1" / "config.json");
  Write(root_ / "m" / "99999999999999999999" / "config.json");
  const auto models = Find();
  ASSERT_OK(models);
  ASSERT_EQ(models->size(), 1u);
  EXPECT_THAT(Versions(models->at(0)), ElementsAre(1));
}

TEST_F(ModelRepositoryTest, EmptyAndMissingRepositoriesSayWhatWasExpected) {
  EXPECT_THAT(Find(), StatusIs(kNotFound, HasSubstr("<model>/<version>/config.json")));
  EXPECT_THAT(FindModels({.path = (base_ / "nowhere").string()}),
              StatusIs(kNotFound, HasSubstr("nowhere")));
  EXPECT_THAT(FindModels({.path = ""}), StatusIs(kNotFound, HasSubstr("not a folder")));
  Write(base_ / "file");
  EXPECT_THAT(FindModels({.path = (base_ / "file").string()}),
              StatusIs(kNotFound, HasSubstr("file")));
}

TEST_F(ModelRepositoryTest, ModelWithoutVersionIsAnError) {
  Write(root_ / "m" / "v1" / "config.json");
  EXPECT_THAT(Find(), StatusIs(kNotFound, HasSubstr("has no version")));
}

TEST_F(ModelRepositoryTest, HostileFolderNamesAreRefused) {
  Write(root_ / "a b" / "1" / "config.json");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("'a b' cannot name a model")));
}

TEST_F(ModelRepositoryTest, LinksThatLeaveTheRepositoryAreRefused) {
  Write(base_ / "outside" / "1" / "config.json");
  fs::create_directory_symlink(base_ / "outside", root_ / "m");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("outside of the repository")));
}

TEST_F(ModelRepositoryTest, LinkedVersionsFilesAndPoliciesThatLeaveAreRefused) {
  Write(base_ / "outside" / "config.json");
  Write(base_ / "outside" / "secret");
  fs::create_directories(root_ / "m");
  fs::create_directory_symlink(base_ / "outside", root_ / "m" / "1");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("outside of the repository")));

  fs::remove(root_ / "m" / "1");
  Write(root_ / "m" / "1" / "config.json");
  fs::create_symlink(base_ / "outside" / "secret", root_ / "m" / "1" / "tokenizer.json");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("tokenizer.json")));

  fs::remove(root_ / "m" / "1" / "tokenizer.json");
  fs::create_symlink(base_ / "outside" / "secret", root_ / "m" / "model.json");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("model.json")));
}

TEST_F(ModelRepositoryTest, ALinkToAFolderInsideWhoseFilesLeadOutIsRefused) {
  Write(base_ / "outside" / "secret");
  Write(root_ / "m" / "1" / "config.json");
  fs::create_directories(root_ / "m" / "parts");
  fs::create_symlink(base_ / "outside" / "secret", root_ / "m" / "parts" / "config.json");
  fs::create_directory_symlink("../parts", root_ / "m" / "1" / "1_Pooling");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("outside of the repository")));
}

TEST_F(ModelRepositoryTest, AFolderWhoseNameStartsLikeTheRootIsOutside) {
  Write(base_ / "models-other" / "1" / "config.json");
  fs::create_directory_symlink(base_ / "models-other", root_ / "m");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("outside of the repository")));
}

TEST_F(ModelRepositoryTest, BrokenAndCircularLinksAreErrors) {
  fs::create_symlink("b", root_ / "a");
  fs::create_symlink("a", root_ / "b");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("cannot be followed")));
}

TEST_F(ModelRepositoryTest, LinksInsideTheRepositoryAreFollowed) {
  Write(root_ / "m" / "1" / "config.json");
  fs::create_directory_symlink("1", root_ / "m" / "2");
  fs::create_directory_symlink("m", root_ / "alias");
  fs::create_directory_symlink(".", root_ / "m" / "1" / "loop");
  const auto models = Find();
  ASSERT_OK(models);
  EXPECT_EQ(models->size(), 2u);
  EXPECT_THAT(Versions(models->at(1)), ElementsAre(2));
}

TEST_F(ModelRepositoryTest, ABareCheckpointMayHoldLinks) {
  Write(base_ / "blobs" / "abc");
  fs::create_symlink(base_ / "blobs" / "abc", root_ / "config.json");
  EXPECT_OK(Find());
}

TEST_F(ModelRepositoryTest, DefaultsAreValidated) {
  Write(root_ / "config.json");
  RepositoryOptions options{.path = root_.string()};
  options.defaults.batching.max_batch_size = 0;
  EXPECT_THAT(FindModels(options), StatusIs(kInvalid, HasSubstr("max_batch_size")));
}

TEST(CheckModelName, AcceptsOnlySafeNames) {
  for (const char* name : {"m", "all-MiniLM-L6-v2", "a.b_c-9", "Liveness"}) {
    EXPECT_OK(CheckModelName(name)) << name;
  }
  for (const char* name : {"", ".", "..", ".hidden", "a/b", "../a", "a b", " ", "a\n", "é", "a\\b",
                           "readiness", "startup", "liveness"}) {
    EXPECT_THAT(CheckModelName(name), StatusIs(kInvalid, HasSubstr("cannot name a model"))) << name;
  }
  EXPECT_OK(CheckModelName(std::string(128, 'x')));
  EXPECT_THAT(CheckModelName(std::string(129, 'x')), StatusIs(kInvalid, HasSubstr("1 to 128")));
  EXPECT_THAT(CheckModelName(std::string_view("a\0b", 3)), StatusIs(kInvalid, HasSubstr("cannot")));
}

TEST_F(ModelRepositoryTest, LatestMayBeSeveral) {
  for (const char* version : {"1", "2", "3"}) Write(root_ / "m" / version / "config.json");
  Write(root_ / "m" / "model.json", R"({"versions": {"latest": 2}})");
  EXPECT_THAT(Versions(Find()->at(0)), ElementsAre(2, 3));
  Write(root_ / "m" / "model.json", R"({"versions": {"latest": 9}})");
  EXPECT_THAT(Versions(Find()->at(0)), ElementsAre(1, 2, 3));
}

class FindModelTest : public ModelRepositoryTest {
 protected:
  absl::StatusOr<ModelDirectory> FindNamed(const std::string& name,
                                           const std::optional<std::string>& policy = {}) const {
    return FindModel({.path = root_.string()}, name, policy);
  }
};

TEST_F(FindModelTest, ReadsOneModelAndPassesOverTheFaultsOfOthers) {
  Write(root_ / "good" / "2" / "config.json");
  Write(root_ / "bad" / "model.json", "{");
  EXPECT_THAT(Versions(*FindNamed("good")), ElementsAre(2));
  EXPECT_THAT(FindNamed("bad"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("bad/model.json")));
  EXPECT_THAT(ModelNames({.path = root_.string()}), ElementsAre("bad", "good"));
}

TEST_F(FindModelTest, APolicyReplacesModelJson) {
  Write(root_ / "m" / "1" / "config.json");
  Write(root_ / "m" / "model.json", R"({"executors": 5, "threads": 3})");
  const auto model = FindNamed("m", R"({"executors": 2})");
  ASSERT_OK(model);
  EXPECT_EQ(model->options.executors, 2);
  EXPECT_EQ(model->options.threads, 0);
  EXPECT_THAT(FindNamed("m", R"({"executers": 2})"),
              StatusIs(kInvalid, AllOf(HasSubstr("'config'"), HasSubstr("'executers'"))));
}

TEST_F(FindModelTest, NothingOutsideTheRepositoryHasAName) {
  Write(root_ / "m" / "1" / "config.json");
  Write(base_ / "outside" / "1" / "config.json");
  for (const char* name : {"..", "../outside", "/", "", " ", ".", "m/1", "m/../m"}) {
    EXPECT_THAT(FindNamed(name), StatusIs(kInvalid, HasSubstr("cannot name a model"))) << name;
  }
  EXPECT_THAT(FindNamed("outside"), StatusIs(kNotFound, HasSubstr("no model 'outside'")));
  fs::create_directory_symlink(base_ / "outside", root_ / "link");
  EXPECT_THAT(FindNamed("link"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                          HasSubstr("outside of the repository")));
  fs::create_symlink(base_ / "outside" / "1" / "config.json", root_ / "m" / "1" / "secret");
  EXPECT_THAT(FindNamed("m"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                       HasSubstr("outside of the repository")));
}

TEST_F(FindModelTest, AChangeOfAnyFileOfAVersionShows) {
  Write(root_ / "m" / "1" / "config.json");
  Write(root_ / "m" / "1" / "1_Pooling" / "config.json");
  const std::string before = FindNamed("m")->versions[0].files;
  EXPECT_EQ(FindNamed("m")->versions[0].files, before);
  Write(root_ / "m" / "1" / "1_Pooling" / "config.json", "{ }");
  const std::string after = FindNamed("m")->versions[0].files;
  EXPECT_NE(after, before);
  Write(root_ / "m" / "1" / "new");
  EXPECT_NE(FindNamed("m")->versions[0].files, after);
}

TEST_F(FindModelTest, ABareCheckpointHasOneName) {
  Write(root_ / "config.json");
  EXPECT_THAT(Versions(*FindNamed("models")), ElementsAre(1));
  EXPECT_EQ(FindNamed("models", R"({"executors": 2})")->options.executors, 2);
  EXPECT_THAT(FindNamed("other"), StatusIs(kNotFound, HasSubstr("'other'")));
  EXPECT_THAT(ModelNames({.path = root_.string()}), ElementsAre("models"));
}

}  // namespace
}  // namespace reprise::server::repository
