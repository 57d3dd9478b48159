#include "engine/weights/json_file.h"

#include <cerrno>
#include <fstream>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/mapped_file.h"

namespace reprise::engine::weights {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;

// Watches the parser's events for what nlohmann-json itself lets pass. Values nested too deep are
// dropped while parsing, because comparing and printing them would recurse as deep.
class StructureCheck {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
        keys_.emplace_back();
        [[fallthrough]];
      case Json::parse_event_t::array_start:
        too_deep_ |= depth >= kMaxDepth;
        return depth < kMaxDepth;
      case Json::parse_event_t::key:
        if (!keys_.back().insert(parsed.get<std::string>()).second) {
          duplicate_ = parsed.get<std::string>();
          has_duplicate_ = true;
        }
        return true;
      case Json::parse_event_t::object_end:
        keys_.pop_back();
        return true;
      default:
        return true;
    }
  }

  absl::Status Result(const std::string& what) const {
    if (too_deep_) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " is nested deeper than ", kMaxDepth, " levels"));
    }
    if (has_duplicate_) {
      return absl::InvalidArgumentError(absl::StrCat(what, " has the key ", JsonText(duplicate_),
                                                     " twice in one object; keep one of them"));
    }
    return absl::OkStatus();
  }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
  bool too_deep_ = false;
  bool has_duplicate_ = false;
  std::string duplicate_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text, const std::string& what) {
  StructureCheck check;
  Json value;
  try {
    value = Json::parse(text.begin(), text.end(),
                        [&check](int depth, Json::parse_event_t event, const Json& parsed) {
                          return check(depth, event, parsed);
                        });
  } catch (const Json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is not valid JSON: error at byte ", error.byte));
  } catch (const Json::exception&) {
    return absl::InvalidArgumentError(absl::StrCat(what, " has a number out of range"));
  }
  REPRISE_RETURN_IF_ERROR(check.Result(what));
  return value;
}

absl::StatusOr<Json> ReadJsonFile(const std::string& path) {
  REPRISE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", path, "' has ", bytes.size(), " bytes; expected at most ", kMaxFileBytes, " of JSON"));
  }
  return ParseJson({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                   absl::StrCat("'", path, "'"));
}

absl::Status WriteJsonFile(const std::string& path, const Json& value) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << value.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  file.close();
  if (file.good()) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write '", path, "'"));
}

std::string JsonText(const Json& value) {
  constexpr std::size_t kMaxLength = 60;
  // ASCII escapes, so that a cut never splits a character.
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxLength) text = text.substr(0, kMaxLength) + "...";
  return text;
}

}  // namespace reprise::engine::weights
