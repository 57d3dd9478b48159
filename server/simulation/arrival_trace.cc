#include "server/simulation/arrival_trace.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::server::simulation {
namespace {

using Json = nlohmann::json;

constexpr double kMostMilliseconds = 1e12;  // 30 years
constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

absl::Status Wrong(std::string_view key, const Json& value, std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("'", std::string(key), "' is ",
                                                 engine::weights::JsonText(value), "; expected ",
                                                 std::string(expected)));
}

absl::StatusOr<std::chrono::nanoseconds> ReadMilliseconds(const char* key, const Json& value) {
  if (!value.is_number() || !(value.get<double>() >= 0) ||
      value.get<double>() > kMostMilliseconds) {
    return Wrong(key, value, "milliseconds from 0 to 1e12");
  }
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(std::llround(value.get<double>() * 1e6)));
}

absl::Status ReadTokens(const Json& value, std::vector<std::int64_t>* row_tokens) {
  const Json rows = value.is_array() ? value : Json::array({value});
  for (const Json& tokens : rows) {
    if (!tokens.is_number_integer() || tokens.get<std::int64_t>() < 1 ||
        tokens.get<std::int64_t>() > kMostTokens) {
      break;
    }
    row_tokens->push_back(tokens.get<std::int64_t>());
  }
  if (row_tokens->size() == rows.size() && !rows.empty()) return absl::OkStatus();
  return Wrong("tokens", value, "a number from 1 to 16777216, or a list of such");
}

absl::StatusOr<Arrival> ParseArrival(std::string_view line) {
  REPRISE_ASSIGN_OR_RETURN(const Json json, engine::weights::ParseJson(line, "it"));
  if (!json.is_object()) return absl::InvalidArgumentError("it is not a JSON object");
  static const std::set<std::string> kKeys = {"at_ms", "tokens", "priority", "client",
                                              "timeout_ms"};
  for (const auto& [key, value] : json.items()) {
    if (kKeys.count(key) > 0) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown key '", key, "'; known are at_ms, tokens, priority, client, timeout_ms"));
  }
  for (const char* key : {"at_ms", "tokens"}) {
    if (!json.contains(key))
      return absl::InvalidArgumentError(absl::StrCat("'", key, "' is missing"));
  }
  Arrival arrival;
  REPRISE_ASSIGN_OR_RETURN(arrival.at, ReadMilliseconds("at_ms", json["at_ms"]));
  REPRISE_RETURN_IF_ERROR(ReadTokens(json["tokens"], &arrival.row_tokens));
  if (json.contains("timeout_ms")) {
    REPRISE_ASSIGN_OR_RETURN(arrival.timeout, ReadMilliseconds("timeout_ms", json["timeout_ms"]));
  }
  if (json.contains("priority")) {
    const Json& priority = json["priority"];
    if (!priority.is_number_integer() || priority.get<std::int64_t>() < 0 ||
        priority.get<std::int64_t>() > 1000) {
      return Wrong("priority", priority, "an integer from 0 to 1000");
    }
    arrival.priority = priority.get<int>();
  }
  if (json.contains("client")) {
    if (!json["client"].is_string()) return Wrong("client", json["client"], "a string");
    arrival.client = json["client"].get<std::string>();
  }
  return arrival;
}

}  // namespace

absl::StatusOr<ArrivalTrace> ParseTrace(std::string_view text) {
  ArrivalTrace trace;
  std::int64_t number = 0;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    const absl::string_view content = absl::StripAsciiWhitespace(line);
    if (content.empty()) continue;
    absl::StatusOr<Arrival> arrival =
        ParseArrival(std::string_view(content.data(), content.size()));
    if (!arrival.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", arrival.status().message()));
    }
    trace.push_back(*std::move(arrival));
  }
  if (trace.empty()) {
    return absl::InvalidArgumentError(
        "the trace is empty; expected lines like {\"at_ms\": 12.5, \"tokens\": 128}");
  }
  std::stable_sort(trace.begin(), trace.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  return trace;
}

std::string TraceText(const ArrivalTrace& trace) {
  std::string text;
  for (const Arrival& arrival : trace) {
    nlohmann::ordered_json line = {{"at_ms", 1e-6 * static_cast<double>(arrival.at.count())}};
    if (arrival.row_tokens.size() == 1) {
      line["tokens"] = arrival.row_tokens[0];
    } else {
      line["tokens"] = arrival.row_tokens;
    }
    if (arrival.priority != 0) line["priority"] = arrival.priority;
    if (!arrival.client.empty()) line["client"] = arrival.client;
    if (arrival.timeout.count() > 0) {
      line["timeout_ms"] = 1e-6 * static_cast<double>(arrival.timeout.count());
    }
    absl::StrAppend(
        &text, line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace), "\n");
  }
  return text;
}

}  // namespace reprise::server::simulation
