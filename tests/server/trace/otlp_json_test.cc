#include "server/trace/otlp_json.h"

#include <set>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/trace/traces.h"

namespace reprise::server::trace {
namespace {

using testing::AnsweredCall;
using testing::AttributesOf;
using ::testing::Contains;
using ::testing::Key;
using testing::milliseconds;
using ::testing::Not;
using ::testing::Pair;
using testing::SpansByName;
using testing::SpansOf;

std::pair<std::string, std::string> Times(const nlohmann::json& span) {
  return {span["startTimeUnixNano"].get<std::string>(), span["endTimeUnixNano"].get<std::string>()};
}

TEST(OtlpJson, AnAnsweredInferenceIsAServerSpanWithAChildForEachStep) {
  const auto spans = SpansByName(FormatTrace(AnsweredCall(), "1.2.3"));
  const std::map<std::string, std::pair<std::string, std::string>> expected = {
      {"grpc ModelInfer", {"1000000000", "1100000000"}}, {"decode", {"1000000000", "1005000000"}},
      {"tokenize", {"1010000000", "1020000000"}},        {"queue", {"1020000000", "1050000000"}},
      {"compute", {"1051000000", "1090000000"}},         {"encode", {"1096000000", "1100000000"}}};
  ASSERT_EQ(spans.size(), expected.size());
  std::set<std::string> ids;
  for (const auto& [name, span] : spans) {
    EXPECT_EQ(Times(span), expected.at(name)) << name;
    EXPECT_EQ(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
    ids.insert(span["spanId"].get<std::string>());
    const bool root = name == "grpc ModelInfer";
    EXPECT_EQ(span["parentSpanId"], root ? "b7ad6b7169203331" : "00f067aa0ba902b7") << name;
    EXPECT_EQ(span["kind"], root ? 2 : 1) << name;
  }
  EXPECT_EQ(ids.size(), spans.size());
  EXPECT_EQ(spans.at("grpc ModelInfer")["spanId"], "00f067aa0ba902b7");
  EXPECT_EQ(spans.at("grpc ModelInfer")["traceState"], "vendor=value");
}

TEST(OtlpJson, AttributesSayWhatWasAskedAndWithWhomItRan) {
  const auto spans = SpansByName(FormatTrace(AnsweredCall(), "1.2.3"));
  const auto call = AttributesOf(spans.at("grpc ModelInfer"));
  const std::map<std::string, std::string> expected = {
      {"rpc.system", "grpc"},         {"rpc.method", "ModelInfer"},
      {"rpc.grpc.status_code", "0"},  {"reprise.model.name", "demo"},
      {"reprise.model.version", "3"}, {"reprise.request.id", "mine"},
      {"reprise.rows", "2"},          {"reprise.tokens", "12"},
      {"reprise.batch.rows", "4"},    {"reprise.batch.tokens", "30"},
      {"reprise.batch.id", "17"}};
  EXPECT_EQ(call, expected);
  EXPECT_THAT(AttributesOf(spans.at("compute")), Contains(Pair("reprise.batch.id", "17")));
}

TEST(OtlpJson, ALineIsWhatOpenTelemetryReads) {
  const auto line = nlohmann::json::parse(FormatTrace(AnsweredCall(), "1.2.3"));
  ASSERT_EQ(line["resourceSpans"].size(), 1u);
  const auto resource = AttributesOf(line["resourceSpans"][0]["resource"]);
  EXPECT_THAT(resource, Contains(Pair("service.name", "reprise")));
  EXPECT_THAT(resource, Contains(Pair("service.version", "1.2.3")));
}

TEST(OtlpJson, ACallThatWasCancelledInTheQueueHasNoFurtherSteps) {
  TracedCall call = AnsweredCall();
  call.code = absl::StatusCode::kCancelled;
  call.inference.encode = milliseconds(0);
  call.inference.steps = {.version = "3", .queued = call.inference.steps.queued};
  const auto spans = SpansByName(FormatTrace(call, ""));
  EXPECT_EQ(spans.size(), 3u);
  EXPECT_EQ(Times(spans.at("queue")),
            (std::pair<std::string, std::string>("1010000000", "1100000000")));
  EXPECT_THAT(spans, Not(Contains(Key("compute"))));
  EXPECT_EQ(spans.at("grpc ModelInfer")["status"], nlohmann::json::object())
      << "the caller's choice is no error of the server";
}

TEST(OtlpJson, AStepThatGoesOnAfterTheCallIsCutToTheCall) {
  TracedCall call = AnsweredCall();
  call.code = absl::StatusCode::kDeadlineExceeded;
  call.inference.encode = milliseconds(0);
  call.end = call.start + milliseconds(60);  // while its batch runs until 90 ms
  const auto spans = SpansByName(FormatTrace(call, ""));
  EXPECT_EQ(Times(spans.at("compute")),
            (std::pair<std::string, std::string>("1051000000", "1060000000")));
}

TEST(OtlpJson, RefusalsSayWhyAndOnlyTheServersErrorsAreErrors) {
  TracedCall call = AnsweredCall();
  call.inference.refusal = RefusalReason::kQueueTokens;
  const std::map<absl::StatusCode, bool> errors = {
      {absl::StatusCode::kResourceExhausted, false}, {absl::StatusCode::kInvalidArgument, false},
      {absl::StatusCode::kUnavailable, true},        {absl::StatusCode::kInternal, true},
      {absl::StatusCode::kDeadlineExceeded, true},   {absl::StatusCode::kOk, false}};
  for (const auto& [code, error] : errors) {
    call.code = code;
    const auto spans = SpansByName(FormatTrace(call, ""));
    const auto& span = spans.at("grpc ModelInfer");
    EXPECT_EQ(span["status"].contains("code"), error) << absl::StatusCodeToString(code);
    EXPECT_THAT(AttributesOf(span), Contains(Pair("reprise.refused", "queue_tokens")));
  }
}

TEST(OtlpJson, OtherCallsAreOneSpan) {
  TracedCall call = AnsweredCall();
  call.is_inference = false;
  call.method = "ServerLive";
  EXPECT_EQ(SpansOf(FormatTrace(call, "")).size(), 1u);
  EXPECT_EQ(CountSpans(call), 1);
}

TEST(OtlpJson, SpansAreCountedAsTheyAreWritten) {
  TracedCall call = AnsweredCall();
  EXPECT_EQ(CountSpans(call), 6);
  call.inference.steps.tokenized = {};
  EXPECT_EQ(CountSpans(call), 5);
  EXPECT_EQ(SpansOf(FormatTrace(call, "")).size(), 5u);
}

TEST(OtlpJson, BytesThatAreNotUtf8DoNotBreakTheLine) {
  TracedCall call = AnsweredCall();
  call.inference.id = "a\xff\n\"";
  const std::string line = FormatTrace(call, "");
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(AttributesOf(SpansOf(line)[0])["reprise.request.id"], "a\xef\xbf\xbd\n\"");
}

}  // namespace
}  // namespace reprise::server::trace
