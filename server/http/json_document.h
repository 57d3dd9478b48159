// JSON of a request body: read within bounds, its long lists of tensor elements kept compactly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace reprise::server::http {

// The elements of one `data` array, flat or nested, in the order written.
struct JsonElements {
  enum class Kind : std::uint8_t { kNone, kBools, kIntegers, kReals, kTexts };
  // kNone without elements. Integers among reals are reals; so are integers below 0 beside some
  // above INT64_MAX, which no datatype has both of.
  Kind kind = Kind::kNone;

  std::vector<std::int64_t> integers;  // of kIntegers and kBools
  bool above_int64 = false;  // one is above INT64_MAX: all are to be read as std::uint64_t
  std::vector<double> reals;
  std::vector<std::string> texts;

  // Lengths of the nested arrays from the outermost in; -1 where a level has none.
  std::vector<std::int64_t> lengths;
  bool uneven = false;  // arrays of one level differ in length, or elements in depth
};

// Requires: the kind is kIntegers. It is kReals afterwards, each rounded to the nearest double.
void IntegersBecomeReals(JsonElements* elements);

struct JsonDocument {
  nlohmann::json root;  // each lifted `data` array is replaced by its index in `elements`
  std::vector<JsonElements> elements;
};

enum class DataLists : std::uint8_t { kKeep, kLift };

// With kLift the arrays at inputs[*].data become `elements`: eight bytes a number instead of
// sixteen and more. InvalidArgument for text that is not JSON, is nested deeper than 100 levels,
// has a key twice in one object, a number out of range, more than 100,000 values outside the
// lifted lists, or a lifted list that mixes kinds.
absl::StatusOr<JsonDocument> ParseJson(std::string_view text, DataLists data_lists);

// The JSON object of a body; an empty body is an empty object. Errors as ParseJson, or
// InvalidArgument for another value than an object.
absl::StatusOr<nlohmann::json> ReadObject(std::string_view body);

}  // namespace reprise::server::http
