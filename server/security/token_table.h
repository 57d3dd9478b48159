// The tokens file: who may call, known by the digests of their tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/security/method_group.h"

namespace reprise::server::security {

using TokenDigest = std::array<std::uint8_t, 32>;  // SHA-256

TokenDigest DigestOf(std::string_view token);

// Groups that one token may call.
class GroupSet {
 public:
  void Add(MethodGroup group) { bits_ |= BitOf(group); }
  bool Contains(MethodGroup group) const { return (bits_ & BitOf(group)) != 0; }
  std::string Text() const;  // "inference,metadata"

 private:
  static constexpr std::uint8_t BitOf(MethodGroup group) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(group));
  }
  std::uint8_t bits_ = 0;
};

// What a token may call when its line does not say.
inline constexpr std::string_view kDefaultGroups = "inference,metadata,health";

// "inference,control". InvalidArgument for an unknown group.
absl::StatusOr<GroupSet> ParseGroups(std::string_view text);

struct TokenOwner {
  std::string name;
  GroupSet groups;
};

// Immutable.
class TokenTable {
 public:
  // One line per token, NAME:DIGEST or NAME:DIGEST:GROUPS, with the SHA-256 of the token in 64
  // hexadecimal digits and GROUPS as "inference,control" (by default kDefaultGroups).
  // Empty lines and those that start with # count for nothing. A name may have several tokens, so
  // that one can be replaced by another. InvalidArgument names the line by its number, never by
  // what it says: somebody may have put the token itself there.
  static absl::StatusOr<TokenTable> Parse(std::string_view text);

  // Nothing for a token that is not in the table. Takes as long wherever in the table the token is,
  // and however much of it is right.
  const TokenOwner* Find(std::string_view token) const;

  std::size_t size() const { return tokens_.size(); }

 private:
  struct Entry {
    TokenDigest digest;
    TokenOwner owner;
  };
  std::vector<Entry> tokens_;
};

// A new token: 256 random bits, in letters, digits, '-' and '_'. Internal if the system has none.
absl::StatusOr<std::string> NewToken();

// The line for the tokens file, without its end. InvalidArgument for a name that is not 1 to 64
// letters, digits, '.', '_', '-' or '@', and for a token of less than 20 characters, which could be
// guessed from its digest.
absl::StatusOr<std::string> TokenLine(std::string_view name, std::string_view token,
                                      const GroupSet& groups);

}  // namespace reprise::server::security
