#include "server/repository/model_policy.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::server::repository {
namespace {

using Json = nlohmann::json;

absl::Status WrongType(const std::string& key, const Json& value, const char* expected) {
  return absl::InvalidArgumentError(absl::StrCat(
      "key '", key, "' is ", engine::weights::JsonText(value), "; expected ", expected));
}

template <typename Integer>
absl::Status ReadInteger(const std::string& key, const Json& value, Integer* field) {
  if (!value.is_number_integer()) return WrongType(key, value, "an integer");
  // Unsigned values beyond int64 would wrap on conversion.
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() >
          static_cast<std::uint64_t>(std::numeric_limits<Integer>::max())) {
    return WrongType(key, value, "a smaller integer");
  }
  const auto number = value.get<std::int64_t>();
  if (number < std::numeric_limits<Integer>::min())
    return WrongType(key, value, "a larger integer");
  *field = static_cast<Integer>(number);
  return absl::OkStatus();
}

absl::Status ReadBool(const std::string& key, const Json& value, bool* field) {
  if (!value.is_boolean()) return WrongType(key, value, "true or false");
  *field = value.get<bool>();
  return absl::OkStatus();
}

template <typename Value>
absl::Status ReadName(const std::string& key, const Json& value,
                      absl::StatusOr<Value> (*parse)(std::string_view), Value* field) {
  if (!value.is_string()) return WrongType(key, value, "a string");
  REPRISE_ASSIGN_OR_RETURN(*field, parse(value.get<std::string>()));
  return absl::OkStatus();
}

absl::Status ReadVersions(const std::string& key, const Json& value, VersionChoice* field) {
  constexpr const char* kExpected =
      "\"latest\", {\"latest\": n} with n >= 1, \"all\" or a list of version numbers >= 1";
  *field = {};
  if (value == "latest") return absl::OkStatus();
  if (value.is_object() && value.size() == 1 && value.contains("latest")) {
    REPRISE_RETURN_IF_ERROR(ReadInteger("versions.latest", value["latest"], &field->latest));
    return field->latest >= 1 ? absl::OkStatus() : WrongType(key, value, kExpected);
  }
  if (value == "all") {
    field->kind = VersionChoice::Kind::kAll;
    return absl::OkStatus();
  }
  if (!value.is_array() || value.empty()) return WrongType(key, value, kExpected);
  field->kind = VersionChoice::Kind::kListed;
  for (const Json& version : value) {
    std::int64_t number = 0;
    REPRISE_RETURN_IF_ERROR(ReadInteger(key, version, &number));
    if (number < 1) return WrongType(key, value, kExpected);
    field->listed.push_back(number);
  }
  std::sort(field->listed.begin(), field->listed.end());
  field->listed.erase(std::unique(field->listed.begin(), field->listed.end()), field->listed.end());
  return absl::OkStatus();
}

using Reader = std::function<absl::Status(const std::string& key, const Json& value)>;

template <typename Integer>
Reader Into(Integer* field) {
  return
      [field](const std::string& key, const Json& value) { return ReadInteger(key, value, field); };
}

Reader Into(std::chrono::milliseconds* field) {
  return [field](const std::string& key, const Json& value) {
    std::int64_t milliseconds = 0;
    REPRISE_RETURN_IF_ERROR(ReadInteger(key, value, &milliseconds));
    *field = std::chrono::milliseconds(milliseconds);
    return absl::OkStatus();
  };
}

// Every key that model.json may have, with what reads it.
std::map<std::string, Reader> Readers(ModelServingOptions* o) {
  batching::BatchingOptions& b = o->batching;
  return {
      {"device",
       [o](auto& k, auto& v) { return ReadName(k, v, engine::ParseDeviceId, &o->device); }},
      {"precision",
       [o](auto& k, auto& v) { return ReadName(k, v, ParsePrecision, &o->precision); }},
      {"strategy", [o](auto& k, auto& v) { return ReadName(k, v, ParseStrategy, &o->strategy); }},
      {"score_format",
       [o](auto& k, auto& v) { return ReadName(k, v, ParseScoreFormat, &o->score_format); }},
      {"versions", [o](auto& k, auto& v) { return ReadVersions(k, v, &o->versions); }},
      {"batch_invariant", [o](auto& k, auto& v) { return ReadBool(k, v, &o->batch_invariant); }},
      {"pin_threads", [o](auto& k, auto& v) { return ReadBool(k, v, &o->pin_threads); }},
      {"score_cache_bytes", Into(&o->score_cache_bytes)},
      {"executors", Into(&o->executors)},
      {"threads", Into(&o->threads)},
      {"tokenizer_threads", Into(&o->tokenizer_threads)},
      {"max_text_bytes", Into(&o->max_text_bytes)},
      {"max_reply_bytes", Into(&o->max_reply_bytes)},
      {"warmup_runs", Into(&o->warmup_runs)},
      {"max_batch_size", Into(&b.max_batch_size)},
      {"max_batch_tokens", Into(&b.max_batch_tokens)},
      {"max_batch_score_bytes", Into(&b.max_batch_score_bytes)},
      {"max_queue_delay_us", Into(&b.max_queue_delay_us)},
      {"max_queue_requests", Into(&b.max_queue_requests)},
      {"max_queue_rows", Into(&b.max_queue_rows)},
      {"max_queue_tokens", Into(&b.max_queue_tokens)},
      {"max_queue_bytes", Into(&b.max_queue_bytes)},
      {"max_queue_score_bytes", Into(&b.max_queue_score_bytes)},
      {"max_overtakes", Into(&b.max_overtakes)},
      {"ordering_horizon_ms", Into(&b.ordering_horizon)},
      {"queue_timeout_ms", Into(&b.queue_timeout)},
      {"prediction", [&b](auto& k, auto& v) { return ReadBool(k, v, &b.prediction); }},
      {"priority_levels", Into(&b.priority_levels)},
      {"default_priority", Into(&b.default_priority)},
      {"priority_ageing_ms", Into(&b.priority_ageing)},
      {"max_client_keys", Into(&b.max_client_keys)},
  };
}

absl::Status UnknownKey(const std::string& key, const std::map<std::string, Reader>& readers) {
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown key '", key, "'; known are ",
      absl::StrJoin(readers, ", ", [](std::string* out, const auto& r) { out->append(r.first); })));
}

}  // namespace

absl::StatusOr<ModelServingOptions> ParseModelPolicy(std::string_view json,
                                                     const ModelServingOptions& defaults) {
  const absl::StatusOr<Json> parsed = engine::weights::ParseJson(json, "its text");
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("is not JSON to go by: ", parsed.status().message()));
  }
  const Json& policy = *parsed;
  if (!policy.is_object()) return absl::InvalidArgumentError("is not a JSON object");
  ModelServingOptions options = defaults;
  const std::map<std::string, Reader> readers = Readers(&options);
  for (const auto& [key, value] : policy.items()) {
    const auto reader = readers.find(key);
    if (reader == readers.end()) return UnknownKey(key, readers);
    REPRISE_RETURN_IF_ERROR(reader->second(key, value));
  }
  REPRISE_RETURN_IF_ERROR(Validate(options));
  return options;
}

}  // namespace reprise::server::repository
