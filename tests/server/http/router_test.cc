#include "server/http/router.h"

#include <string>

#include "gtest/gtest.h"

namespace reprise::server::http {
namespace {

struct Case {
  std::string target;
  Method method;
  std::string name;
  std::string model = "";
  std::string version = "";
};

TEST(FindRouteTest, KnowsThePathsOfTheProtocol) {
  const Case cases[] = {
      {"/v2", Method::kServerMetadata, "ServerMetadata"},
      {"/v2/", Method::kServerMetadata, "ServerMetadata"},
      {"/v2?a=b", Method::kServerMetadata, "ServerMetadata"},
      {"http://host:80/v2/health/live?x", Method::kServerLive, "ServerLive"},
      {"/v2/health/ready", Method::kServerReady, "ServerReady"},
      {"/v2/models/m", Method::kModelMetadata, "ModelMetadata", "m"},
      {"/v2/models/m/", Method::kModelMetadata, "ModelMetadata", "m"},
      {"/v2/models/m/versions/3", Method::kModelMetadata, "ModelMetadata", "m", "3"},
      {"/v2/models/m/ready", Method::kModelReady, "ModelReady", "m"},
      {"/v2/models/m/versions/3/config", Method::kModelConfig, "ModelConfig", "m", "3"},
      {"/v2/models/m/infer", Method::kModelInfer, "ModelInfer", "m"},
      {"/v2/models/m/versions/x%20y/infer", Method::kModelInfer, "ModelInfer", "m", "x y"},
      {"/v2/models/a%2Fb%c3%A9/infer", Method::kModelInfer, "ModelInfer", "a/b\xc3\xa9"},
      {"/v2/models/infer/infer", Method::kModelInfer, "ModelInfer", "infer"},
      {"/v2/models/versions", Method::kModelMetadata, "ModelMetadata", "versions"},
      {"/v2/models/versions/versions/1", Method::kModelMetadata, "ModelMetadata", "versions", "1"},
      {"/v2/repository/index", Method::kRepositoryIndex, "RepositoryIndex"},
      {"/v2/systemsharedmemory/region/r/register", Method::kNotBuilt, "SystemSharedMemoryRegister",
       "r"},
      {"/v2/models/m/trace/setting", Method::kNotBuilt, "TraceSetting", "m"},
  };
  for (const Case& c : cases) {
    const auto route = FindRoute(c.target);
    ASSERT_TRUE(route.has_value()) << c.target;
    EXPECT_EQ(route->method, c.method) << c.target;
    EXPECT_EQ(route->name, c.name) << c.target;
    EXPECT_EQ(route->model, c.model) << c.target;
    EXPECT_EQ(route->version, c.version) << c.target;
  }
}

TEST(FindRouteTest, KnowsNoOtherPath) {
  for (const char* target : {"",
                             "/",
                             "*",
                             "v2",
                             "/v1",
                             "/V2",
                             "/v2/v2",
                             "//v2",
                             "/v2//",
                             "/v2/health",
                             "/v2/models",
                             "/v2/models/",
                             "/v2/models//infer",
                             "/v2/models/m/versions",
                             "/v2/models/m/versions//infer",
                             "/v2/models/m/infer/more",
                             "/v2/models/%/infer",
                             "/v2/models/%2/infer",
                             "/v2/models/%zz/infer",
                             "/v2/models/%2x",
                             "http://",
                             "http://host",
                             "://v2",
                             "/v2/../v2/health/live",
                             "/v2/models/m/config/versions/3",
                             "/v2/repository/models/m/drop"}) {
    EXPECT_FALSE(FindRoute(target).has_value()) << target;
  }
}

TEST(AllowsTest, ComparesWholeVerbs) {
  EXPECT_TRUE(Allows("GET, HEAD", "HEAD"));
  EXPECT_FALSE(Allows("GET, HEAD", "EAD"));
  EXPECT_FALSE(Allows("GET, HEAD", "get"));
  EXPECT_FALSE(Allows("POST", ""));
}

}  // namespace
}  // namespace reprise::server::http
