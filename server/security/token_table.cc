#include "server/security/token_table.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/check.h"

namespace reprise::server::security {
namespace {

constexpr std::size_t kShortestToken = 20;

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == '@';
         });
}

std::optional<TokenDigest> ParseDigest(const std::string& text) {
  if (text.size() != 2 * TokenDigest().size() ||
      !std::all_of(text.begin(), text.end(),
                   [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
    return std::nullopt;
  }
  const std::string bytes = absl::HexStringToBytes(text);
  TokenDigest digest;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

absl::Status BadLine(int number, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "line ", number, " ", std::string(why),
      "; expected NAME:SHA256 or NAME:SHA256:GROUPS, as 'reprise token NAME' makes it"));
}

}  // namespace

TokenDigest DigestOf(std::string_view token) {
  TokenDigest digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

std::string GroupSet::Text() const {
  std::vector<std::string> names;
  for (const MethodGroup group : kMethodGroups) {
    if (Contains(group)) names.emplace_back(Name(group));
  }
  return absl::StrJoin(names, ",");
}

absl::StatusOr<GroupSet> ParseGroups(std::string_view text) {
  GroupSet groups;
  for (const std::string& name : std::vector<std::string>(absl::StrSplit(std::string(text), ','))) {
    REPRISE_ASSIGN_OR_RETURN(const MethodGroup group, ParseMethodGroup(name));
    groups.Add(group);
  }
  return groups;
}

absl::StatusOr<TokenTable> TokenTable::Parse(std::string_view text) {
  TokenTable table;
  int number = 0;
  for (std::string line : std::vector<std::string>(absl::StrSplit(std::string(text), '\n'))) {
    ++number;
    absl::StripAsciiWhitespace(&line);
    if (line.empty() || line.front() == '#') continue;
    const std::vector<std::string> parts = absl::StrSplit(line, ':');
    if (parts.size() < 2 || parts.size() > 3)
      return BadLine(number, "does not have two or three parts");
    if (!IsName(parts[0])) return BadLine(number, "does not begin with a name");
    const std::optional<TokenDigest> digest = ParseDigest(parts[1]);
    if (!digest.has_value()) {
      return BadLine(number, "does not have the 64 hexadecimal digits of a SHA-256");
    }
    const auto same = std::find_if(table.tokens_.begin(), table.tokens_.end(),
                                   [&](const Entry& entry) { return entry.digest == *digest; });
    if (same != table.tokens_.end()) return BadLine(number, "repeats a token of an earlier line");
    absl::StatusOr<GroupSet> groups =
        ParseGroups(parts.size() == 3 ? std::string_view(parts[2]) : kDefaultGroups);
    if (!groups.ok()) return BadLine(number, "names a group that does not exist");
    table.tokens_.push_back({*digest, {parts[0], *groups}});
  }
  if (table.tokens_.empty()) {
    return absl::InvalidArgumentError(
        "there is no token; expected at least one line, as 'reprise token NAME' makes it");
  }
  return table;
}

const TokenOwner* TokenTable::Find(std::string_view token) const {
  const TokenDigest digest = DigestOf(token);
  const TokenOwner* owner = nullptr;
  for (const Entry& entry : tokens_) {  // to the end, found or not
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) owner = &entry.owner;
  }
  return owner;
}

absl::StatusOr<std::string> NewToken() {
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
    return absl::InternalError("the system has no random bytes to make a token of");
  }
  const absl::string_view view(reinterpret_cast<const char*>(bytes), sizeof(bytes));
  return absl::WebSafeBase64Escape(view);
}

absl::StatusOr<std::string> TokenLine(std::string_view name, std::string_view token,
                                      const GroupSet& groups) {
  if (!IsName(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", std::string(name), "' cannot name the owner of a token; expected 1 to 64 ",
        "letters, digits, '.', '_', '-' or '@'"));
  }
  if (token.size() < kShortestToken) {
    return absl::InvalidArgumentError(
        absl::StrCat("the token has ", token.size(), " characters, expected at least ",
                     kShortestToken, ": shorter ones can be guessed"));
  }
  const TokenDigest digest = DigestOf(token);
  const absl::string_view view(reinterpret_cast<const char*>(digest.data()), digest.size());
  return absl::StrCat(std::string(name), ":", absl::BytesToHexString(view), ":", groups.Text());
}

}  // namespace reprise::server::security
