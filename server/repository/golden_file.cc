#include "server/repository/golden_file.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::server::repository {
namespace {

using Json = nlohmann::json;
using engine::weights::JsonText;

absl::Status Wrong(const std::string& where, const Json& found, const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(where, " is ", JsonText(found), "; expected ", expected));
}

absl::Status UnknownKey(const std::string& where, const std::string& key, const char* known) {
  return absl::InvalidArgumentError(
      absl::StrCat(where, " has the unknown key '", key, "'; known are ", known));
}

absl::StatusOr<std::optional<double>> ReadBound(const Json& tolerance, const char* key, double low,
                                                double high, const char* expected) {
  const auto found = tolerance.find(key);
  if (found == tolerance.end()) return std::nullopt;
  const std::string where = absl::StrCat("tolerance.", key);
  if (!found->is_number()) return Wrong(where, *found, expected);
  const auto bound = found->get<double>();
  if (!(bound >= low && bound <= high)) return Wrong(where, *found, expected);
  return bound;
}

absl::StatusOr<GoldenTolerance> ReadTolerance(const Json& golden) {
  constexpr const char* kExpected = "an object with 'max_abs', 'min_cosine' or both";
  const auto found = golden.find("tolerance");
  if (found == golden.end()) {
    return absl::InvalidArgumentError(absl::StrCat("has no 'tolerance'; expected ", kExpected));
  }
  if (!found->is_object() || found->empty()) return Wrong("tolerance", *found, kExpected);
  for (const auto& [key, unused] : found->items()) {
    if (key != "max_abs" && key != "min_cosine") {
      return UnknownKey("tolerance", key, "max_abs, min_cosine");
    }
  }
  GoldenTolerance tolerance;
  REPRISE_ASSIGN_OR_RETURN(
      tolerance.max_abs,
      ReadBound(*found, "max_abs", 0, std::numeric_limits<double>::max(), "a number >= 0"));
  REPRISE_ASSIGN_OR_RETURN(tolerance.min_cosine,
                           ReadBound(*found, "min_cosine", -1, 1, "a number from -1 to 1"));
  return tolerance;
}

absl::StatusOr<std::vector<std::int64_t>> ReadIds(const std::string& where, const Json& value) {
  constexpr const char* kExpected = "a list of integers, at least one";
  if (!value.is_array() || value.empty()) return Wrong(where, value, kExpected);
  std::vector<std::int64_t> ids;
  for (const Json& id : value) {
    if (!id.is_number_integer()) return Wrong(where, value, kExpected);
    ids.push_back(id.get<std::int64_t>());
  }
  return ids;
}

absl::StatusOr<std::vector<float>> ReadVector(const std::string& where, const Json& value) {
  constexpr const char* kExpected = "a list of numbers, or of such lists, none of them empty";
  if (!value.is_array() || value.empty()) return Wrong(where, value, kExpected);
  std::vector<float> vector;
  for (const Json& element : value) {
    if (!element.is_number()) return Wrong(where, value, kExpected);
    vector.push_back(element.get<float>());
    if (!std::isfinite(vector.back())) return Wrong(where, element, "a finite number");
  }
  return vector;
}

absl::StatusOr<GoldenVectors> ReadVectors(const std::string& where, const Json& value) {
  const bool nested = value.is_array() && !value.empty() && value.front().is_array();
  GoldenVectors vectors;
  if (!nested) {
    REPRISE_ASSIGN_OR_RETURN(vectors.emplace_back(), ReadVector(where, value));
    return vectors;
  }
  for (const Json& each : value) {
    REPRISE_ASSIGN_OR_RETURN(vectors.emplace_back(), ReadVector(where, each));
  }
  return vectors;
}

absl::StatusOr<GoldenSample> ReadSample(const std::string& where, const Json& value) {
  if (!value.is_object()) return Wrong(where, value, "an object");
  GoldenSample sample;
  for (const auto& [key, part] : value.items()) {
    const std::string place = absl::StrCat(where, ".", key);
    if (key == "text") {
      if (!part.is_string()) return Wrong(place, part, "a string");
      sample.text = part.get<std::string>();
    } else if (key == "input_ids") {
      REPRISE_ASSIGN_OR_RETURN(sample.input_ids, ReadIds(place, part));
    } else if (key == "token_type_ids") {
      REPRISE_ASSIGN_OR_RETURN(sample.token_type_ids, ReadIds(place, part));
    } else if (key == "outputs") {
      if (!part.is_object()) return Wrong(place, part, "an object");
      for (const auto& [name, vectors] : part.items()) {
        REPRISE_ASSIGN_OR_RETURN(sample.outputs[name],
                                 ReadVectors(absl::StrCat(place, ".", name), vectors));
      }
    } else {
      return UnknownKey(where, key, "text, input_ids, token_type_ids, outputs");
    }
  }
  if (sample.text.has_value() == !sample.input_ids.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(where, " has ",
                                                   sample.text.has_value() ? "both" : "none",
                                                   " of 'text' and 'input_ids'; expected one"));
  }
  if (!sample.token_type_ids.empty() && sample.token_type_ids.size() != sample.input_ids.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " has ", sample.token_type_ids.size(), " token_type_ids; expected ",
                     sample.input_ids.size(), ", as many as input_ids"));
  }
  if (sample.outputs.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(where, " has no 'outputs'"));
  }
  return sample;
}

// The shortest number that reads back as this float; as a double it would get digits that say
// nothing.
double Shortest(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  double number = 0;
  std::from_chars(text, end, number);
  return number;
}

Json VectorToJson(const std::vector<float>& vector) {
  Json json = Json::array();
  for (const float value : vector) json.push_back(Shortest(value));
  return json;
}

Json VectorsToJson(const GoldenVectors& vectors) {
  if (vectors.size() == 1) return VectorToJson(vectors.front());
  Json json = Json::array();
  for (const std::vector<float>& vector : vectors) json.push_back(VectorToJson(vector));
  return json;
}

}  // namespace

absl::StatusOr<GoldenFile> ParseGolden(const Json& json) {
  if (!json.is_object()) return Wrong("the file", json, "an object");
  for (const auto& [key, unused] : json.items()) {
    if (key != "tolerance" && key != "samples") {
      return UnknownKey("the file", key, "tolerance, samples");
    }
  }
  GoldenFile golden;
  REPRISE_ASSIGN_OR_RETURN(golden.tolerance, ReadTolerance(json));
  const Json samples = json.value("samples", Json());
  if (!samples.is_array() || samples.empty()) {
    return Wrong("samples", samples, "a list of at least one sample");
  }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    REPRISE_ASSIGN_OR_RETURN(golden.samples.emplace_back(),
                             ReadSample(absl::StrCat("samples[", i, "]"), samples[i]));
  }
  return golden;
}

Json ToJson(const GoldenFile& golden) {
  Json json;
  if (golden.tolerance.max_abs) json["tolerance"]["max_abs"] = *golden.tolerance.max_abs;
  if (golden.tolerance.min_cosine) json["tolerance"]["min_cosine"] = *golden.tolerance.min_cosine;
  for (const GoldenSample& sample : golden.samples) {
    Json entry;
    if (sample.text) entry["text"] = *sample.text;
    if (!sample.input_ids.empty()) entry["input_ids"] = sample.input_ids;
    if (!sample.token_type_ids.empty()) entry["token_type_ids"] = sample.token_type_ids;
    for (const auto& [name, vectors] : sample.outputs) {
      entry["outputs"][name] = VectorsToJson(vectors);
    }
    json["samples"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace reprise::server::repository
