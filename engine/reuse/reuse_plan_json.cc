// ReusePlan to and from the key "attention_reuse" of config.json.
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/reuse/reuse_plan.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::reuse {
namespace {

using nlohmann::json;

constexpr char kForms[] =
    "exactly one of {heads, layers}, {variant, layers} or {source, has_attention}, where "
    "has_attention may be left out";

// Messages quote input: short, and printable whatever bytes it holds.
std::string Quoted(const std::string& text) {
  constexpr std::size_t kLongest = 32;
  const std::string shown = absl::CHexEscape(text.substr(0, kLongest));
  return absl::StrCat("\"", shown, text.size() > kLongest ? "...\"" : "\"");
}

// Never recurses, so deeply nested input cannot exhaust the stack.
std::string Describe(const json& value) {
  switch (value.type()) {
    case json::value_t::array:
      return absl::StrCat("an array of ", value.size());
    case json::value_t::object:
      return "an object";
    case json::value_t::string:
      return Quoted(value.get_ref<const std::string&>());
    default:
      return value.dump();
  }
}

std::string DescribeEntry(const json& value) {
  if (!value.is_array() || value.size() != 2) return Describe(value);
  return absl::StrCat("[", Describe(value[0]), ", ", Describe(value[1]), "]");
}

std::string DescribeKeys(const json& object) {
  constexpr int kMost = 6;
  std::string keys;
  int count = 0;
  for (const auto& item : object.items()) {
    if (count == kMost) return absl::StrCat(keys, ", ...");
    absl::StrAppend(&keys, count++ == 0 ? "" : ", ", Quoted(item.key()));
  }
  return keys.empty() ? "no keys" : absl::StrCat("the keys ", keys);
}

bool HasExactly(const json& object, std::initializer_list<const char*> keys) {
  if (object.size() != keys.size()) return false;
  for (const char* key : keys) {
    if (!object.contains(key)) return false;
  }
  return true;
}

// A JSON integer: true, 6.0 and "6" are none.
bool ReadInteger(const json& value, int lowest, int highest, int* result) {
  if (!value.is_number_integer()) return false;
  // Values above the signed range would wrap around.
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT32_MAX) return false;
  const std::int64_t number = value.get<std::int64_t>();
  if (number < lowest || number > highest) return false;
  *result = static_cast<int>(number);
  return true;
}

absl::StatusOr<int> ReadCount(const json& object, const char* key, int highest, const char* of) {
  int result = 0;
  if (!ReadInteger(object[key], 0, highest, &result)) {
    return absl::InvalidArgumentError(
        absl::StrCat("attention_reuse.", key, " is ", Describe(object[key]),
                     "; expected a whole number from 0 to ", highest, ": the model has ", of));
  }
  return result;
}

absl::StatusOr<std::vector<bool>> ReadHasAttention(const json& object, int num_layers) {
  std::vector<bool> has_attention(num_layers, true);
  if (!object.contains("has_attention")) return has_attention;
  const json& list = object["has_attention"];
  if (!list.is_array() || list.size() != has_attention.size()) {
    return absl::InvalidArgumentError(absl::StrCat("attention_reuse.has_attention is ",
                                                   Describe(list), "; expected an array of ",
                                                   num_layers, ", one true or false per layer"));
  }
  for (int layer = 0; layer < num_layers; ++layer) {
    if (!list[layer].is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat("attention_reuse.has_attention[", layer,
                                                     "] is ", Describe(list[layer]),
                                                     "; expected true or false"));
    }
    has_attention[layer] = list[layer].get<bool>();
  }
  return has_attention;
}

absl::StatusOr<std::vector<HeadRef>> ReadRow(const json& row, int layer, int num_layers,
                                             int num_heads) {
  const std::string name = absl::StrCat("attention_reuse.source[", layer, "]");
  if (!row.is_array() || row.size() != static_cast<std::size_t>(num_heads)) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is ", Describe(row),
                                                   "; expected an array of ", num_heads,
                                                   ", one [layer, head] per head of the model"));
  }
  std::vector<HeadRef> entries(num_heads);
  for (int head = 0; head < num_heads; ++head) {
    const json& entry = row[head];
    if (!entry.is_array() || entry.size() != 2 ||
        !ReadInteger(entry[0], 0, num_layers - 1, &entries[head].layer) ||
        !ReadInteger(entry[1], 0, num_heads - 1, &entries[head].head)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, "[", head, "] is ", DescribeEntry(entry),
                       "; expected [layer, head], whole numbers from 0, layer to ", num_layers - 1,
                       " and head to ", num_heads - 1, ": correct this entry"));
    }
  }
  return entries;
}

absl::StatusOr<ReusePlan> ReadTable(const json& object, int num_layers, int num_heads) {
  std::vector<bool> has_attention;
  REPRISE_ASSIGN_OR_RETURN(has_attention, ReadHasAttention(object, num_layers));
  const json& rows = object["source"];
  if (!rows.is_array() || rows.size() != static_cast<std::size_t>(num_layers)) {
    return absl::InvalidArgumentError(absl::StrCat("attention_reuse.source is ", Describe(rows),
                                                   "; expected an array of ", num_layers,
                                                   ", one row per layer of the model"));
  }
  SourceTable source(num_layers);
  for (int layer = 0; layer < num_layers; ++layer) {
    if (!has_attention[layer]) continue;
    REPRISE_ASSIGN_OR_RETURN(source[layer], ReadRow(rows[layer], layer, num_layers, num_heads));
  }
  return ReusePlan::FromTable(std::move(source), std::move(has_attention));
}

absl::StatusOr<ReusePlan> ReadVariant(const json& object, int num_layers, int num_heads) {
  int layers = 0;
  REPRISE_ASSIGN_OR_RETURN(
      layers, ReadCount(object, "layers", num_layers, absl::StrCat(num_layers, " layers").c_str()));
  const json& variant = object["variant"];
  if (variant == "alternate") return ReusePlan::Alternate(num_layers, num_heads, layers);
  if (variant == "all_end") return ReusePlan::AllEnd(num_layers, num_heads, layers);
  if (variant == "skip") return ReusePlan::Skip(num_layers, num_heads, layers);
  return absl::InvalidArgumentError(
      absl::StrCat("attention_reuse.variant is ", Describe(variant),
                   "; expected \"alternate\", \"all_end\" or \"skip\""));
}

absl::StatusOr<ReusePlan> ReadProposed(const json& object, int num_layers, int num_heads) {
  int heads = 0;
  int layers = 0;
  REPRISE_ASSIGN_OR_RETURN(heads,
                           ReadCount(object, "heads", num_heads,
                                     absl::StrCat(num_heads, " heads in each layer").c_str()));
  REPRISE_ASSIGN_OR_RETURN(
      layers,
      ReadCount(object, "layers", num_layers - 1,
                absl::StrCat(num_layers, " layers, and the first one reuses nothing").c_str()));
  return ReusePlan::Proposed(num_layers, num_heads, heads, layers);
}

}  // namespace

absl::StatusOr<ReusePlan> ReusePlan::FromJson(const json& attention_reuse, int num_layers,
                                              int num_heads) {
  absl::StatusOr<ReusePlan> exact = Exact(num_layers, num_heads);  // checks the two numbers
  if (!exact.ok() || attention_reuse.is_null()) return exact;
  if (!attention_reuse.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat("attention_reuse is ", Describe(attention_reuse),
                                                   "; expected an object with ", kForms));
  }
  if (HasExactly(attention_reuse, {"heads", "layers"})) {
    return ReadProposed(attention_reuse, num_layers, num_heads);
  }
  if (HasExactly(attention_reuse, {"variant", "layers"})) {
    return ReadVariant(attention_reuse, num_layers, num_heads);
  }
  if (HasExactly(attention_reuse, {"source"}) ||
      HasExactly(attention_reuse, {"source", "has_attention"})) {
    return ReadTable(attention_reuse, num_layers, num_heads);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("attention_reuse has ", DescribeKeys(attention_reuse), "; expected ", kForms));
}

json ReusePlan::ToJson() const {
  switch (recipe_.kind) {
    case Recipe::Kind::kExact:
      return nullptr;
    case Recipe::Kind::kProposed:
      return {{"heads", recipe_.reused_heads}, {"layers", recipe_.reuse_layers}};
    case Recipe::Kind::kAlternate:
      return {{"variant", "alternate"}, {"layers", recipe_.reuse_layers}};
    case Recipe::Kind::kAllEnd:
      return {{"variant", "all_end"}, {"layers", recipe_.reuse_layers}};
    case Recipe::Kind::kSkip:
      return {{"variant", "skip"}, {"layers", recipe_.reuse_layers}};
    case Recipe::Kind::kTable:
      break;
  }
  json source = json::array();
  for (const std::vector<HeadRef>& row : source_) {
    json entries = json::array();
    for (const HeadRef& entry : row) entries.push_back(json::array({entry.layer, entry.head}));
    source.push_back(std::move(entries));
  }
  return {{"source", std::move(source)}, {"has_attention", has_attention_}};
}

}  // namespace reprise::engine::reuse
