// What is wrong with a request, its exact status, and that a good one is answered after it.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/http/content_coding.h"
#include "tests/server/http/server_fixture.h"

namespace reprise::server::http {
namespace {

using namespace std::string_literals;
using testing::Get;
using testing::kInfer;
using testing::kInferBody;
using testing::kInferReply;
using testing::Post;
using testing::RawClient;
using testing::RawResponse;

struct BadRequestCase {
  std::string name;
  std::string bytes;
  int status;
};
void PrintTo(const BadRequestCase& c, std::ostream* out) { *out << c.name; }

std::string Line(const std::string& line) { return line + "\r\nHost: h\r\n\r\n"; }
std::string Chunked(const std::string& chunks, const std::string& headers = "") {
  return absl::StrCat("POST ", kInfer, " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n",
                      headers, "\r\n", chunks);
}
std::string WithJsonLength(const std::string& length, const std::string& body = kInferBody) {
  return Post(kInfer, body, absl::StrCat("Inference-Header-Content-Length: ", length, "\r\n"));
}
std::string WithCoding(const std::string& coding, const std::string& body) {
  return Post(kInfer, body, absl::StrCat("Content-Encoding: ", coding, "\r\n"));
}
std::string Nested(int depth) {
  return absl::StrCat("{\"a\":", std::string(depth, '['), std::string(depth, ']'), "}");
}

std::vector<BadRequestCase> Cases() {
  const std::string gzip = Deflate({kInferBody}, ContentCoding::kGzip);
  const std::string bomb = Deflate({std::string(4 << 20, ' ')}, ContentCoding::kGzip);
  const std::string long_path(300, 'p');
  return {
      // The first line.
      {"Garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n"s, 400},
      {"OnlyLineEnds", "\r\n\r\n\r\n\r\n", 400},
      {"NoVersion", Line("GET /v2"), 400},
      {"NoTarget", Line("GET HTTP/1.1"), 400},
      {"TwoTargets", Line("GET /v2 /v2 HTTP/1.1"), 505},
      {"NoVerb", Line(" /v2 HTTP/1.1"), 400},
      {"ControlInVerb", Line("G\x01T /v2 HTTP/1.1"), 400},
      {"ControlInTarget", Line("GET /v2\x01 HTTP/1.1"), 400},
      {"VersionOfTwo", Line("GET /v2 HTTP/2.0"), 505},
      {"VersionOfNine", Line("GET /v2 HTTP/0.9"), 505},
      {"AnotherProtocol", Line("GET /v2 FTP/1.1"), 505},
      {"PrefaceOfHttp2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"LineTooLong", Line("GET /" + std::string(20000, 'a') + " HTTP/1.1"), 431},
      // Headers.
      {"NoHost", "GET /v2 HTTP/1.1\r\n\r\n", 400},
      {"TwoHosts", Get("/v2", "Host: i\r\n"), 400},
      {"HeaderWithoutColon", Get("/v2", "nonsense\r\n"), 400},
      {"HeaderWithoutName", Get("/v2", ": x\r\n"), 400},
      {"SpaceInHeaderName", Get("/v2", "a b: c\r\n"), 400},
      {"ControlInHeaderValue", Get("/v2", "a: b\x01\r\n"), 400},
      {"HeadersTooLarge", Get("/v2", absl::StrCat("a: ", std::string(20000, 'b'), "\r\n")), 431},
      {"LengthIsNoNumber", Line("POST /v2 HTTP/1.1\r\nContent-Length: x"), 400},
      {"LengthIsNegative", Line("POST /v2 HTTP/1.1\r\nContent-Length: -1"), 400},
      {"LengthOverflows", Line("POST /v2 HTTP/1.1\r\nContent-Length: 18446744073709551616"), 400},
      {"TwoLengths", Line("POST /v2 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2"), 400},
      {"LengthAndChunked",
       Line("POST /v2 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"), 400},
      {"UnknownTransferCoding", Get("/v2", "Transfer-Encoding: zip\r\n"), 501},
      {"TransferCodingBeforeChunked", Get("/v2", "Transfer-Encoding: gzip, chunked\r\n"), 501},
      {"UnknownExpectation", Post(kInfer, kInferBody, "Expect: magic\r\n"), 417},
      // Paths and verbs.
      {"UnknownPath", Get("/v3"), 404},
      {"RootPath", Get("/"), 404},
      {"StarTarget", Line("OPTIONS * HTTP/1.1"), 404},
      {"BadPercent", Get("/v2/models/%zz"), 404},
      {"LongUnknownPath", Get("/" + long_path), 404},
      {"PostForHealth", Post("/v2/health/live", ""), 405},
      {"GetForInfer", Get(kInfer), 405},
      {"PutForInfer", Line(absl::StrCat("PUT ", kInfer, " HTTP/1.1")), 405},
      {"DeleteForModel", Line("DELETE /v2/models/demo HTTP/1.1"), 405},
      {"MadeUpVerb", Line("BREW /v2 HTTP/1.1"), 405},
      {"NotBuilt", Get("/v2/trace/setting"), 501},
      {"UnknownModel", Get("/v2/models/nobody"), 404},
      {"UnknownModelToInfer", Post("/v2/models/nobody/infer", kInferBody, "x-unknown: 1\r\n"), 404},
      // Bodies.
      {"TooLarge", Post(kInfer, std::string((1 << 20) + 1, ' ')), 413},
      {"TooLargeByItsLength",
       absl::StrCat("POST ", kInfer, " HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999\r\n\r\n"),
       413},
      {"TooLargeInChunks", Chunked("100001\r\n" + std::string(0x100001, ' ') + "\r\n0\r\n\r\n"),
       413},
      {"ChunkSizeIsNoNumber", Chunked("xyz\r\n"), 400},
      {"ChunkSizeOverflows", Chunked("fffffffffffffffff\r\n"), 400},
      {"ChunkWithoutLineEnd", Chunked("2\r\n{}xx\r\n0\r\n\r\n"), 400},
      {"Empty", Post(kInfer, ""), 400},
      {"NotJson", Post(kInfer, "{\"inputs\":"), 400},
      {"NotUtf8", Post(kInfer, "{\"id\":\"\xff\"}"), 400},
      {"NulBytes", Post(kInfer, std::string(64, '\0')), 400},
      {"TooDeep", Post(kInfer, Nested(101)), 400},
      {"MuchTooDeep", Post(kInfer, Nested(200000)), 400},
      {"NotAnObject", Post(kInfer, "[1,2]"), 400},
      {"InputsAreNoArray", Post(kInfer, "{\"inputs\":{}}"), 400},
      {"TimeoutIsNegative", Post(kInfer, R"({"parameters":{"timeout":-5}})"), 400},
      {"SharedMemory",
       Post(kInfer, R"({"outputs":[{"name":"o","parameters":{"shared_memory_region":"r"}}]})"),
       501},
      {"JsonLengthIsNoNumber", WithJsonLength("many"), 400},
      {"JsonLengthIsNegative", WithJsonLength("-1"), 400},
      {"JsonLengthBeyondTheBody", WithJsonLength("100000"), 400},
      {"JsonLengthCutsTheJson", WithJsonLength("10"), 400},
      {"BytesBehindTheJson",
       WithJsonLength(std::to_string(sizeof(kInferBody) - 1), kInferBody + "xyz"s), 400},
      {"RawBodyForSeveralInputs", WithJsonLength("0", "abc"), 400},
      {"UnknownCoding", WithCoding("br", kInferBody), 415},
      {"TwoCodings", WithCoding("gzip, gzip", gzip), 415},
      {"GzipThatIsNone", WithCoding("gzip", kInferBody), 400},
      {"GzipCutOff", WithCoding("gzip", gzip.substr(0, gzip.size() - 5)), 400},
      {"DeflateThatIsGzip", WithCoding("deflate", gzip), 400},
      {"GzipBomb", WithCoding("gzip", bomb), 413},
      {"IndexOfAnotherKind", Post("/v2/repository/index", "[]"), 400},
      {"IndexReadyOfAnotherKind", Post("/v2/repository/index", R"({"ready":1})"), 400},
  };
}

class BadRequestsTest : public testing::ServerFixture,
                        public ::testing::WithParamInterface<BadRequestCase> {
 protected:
  void SetUp() override {
    core_.SetHandler([](std::unique_ptr<InferenceRequest> request) {
      const bool known = request->model_name == "demo";
      if (known) return request->done(testing::TwoNumbersPerRow(*request), RefusalReason::kNone);
      request->done(absl::NotFoundError("Request for unknown model: 'nobody' is not found"),
                    RefusalReason::kNone);
    });
    HttpServerOptions options;
    options.max_receive_bytes = 1 << 20;
    StartServer(options);
  }
};

TEST_P(BadRequestsTest, GetsItsStatusAndLeavesTheServerServing) {
  const RawResponse response = Ask(GetParam().bytes);
  EXPECT_EQ(response.status, GetParam().status) << response.body;
  ASSERT_TRUE(response.headers.contains("content-type"));
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  ASSERT_TRUE(body.is_object()) << response.body;
  EXPECT_GT(body.value("error", "").size(), 5u) << response.body;
  EXPECT_EQ(observer_.rpcs().size(), 1u);

  const RawResponse good = Ask(Post(kInfer, kInferBody));
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(good.body, kInferReply);
  EXPECT_EQ(observer_.rpcs().size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, BadRequestsTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(BadRequestCasesTest, AreManyKinds) { EXPECT_GE(Cases().size(), 60u); }

}  // namespace
}  // namespace reprise::server::http
