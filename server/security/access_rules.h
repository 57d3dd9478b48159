// Which groups of methods are open to everybody, need a token, or are closed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/security/method_group.h"

namespace reprise::server::security {

enum class AccessRule : std::uint8_t {
  kOpen,    // anybody
  kToken,   // callers with a token that names the group
  kClosed,  // nobody
};

class AccessRules {
 public:
  // With a tokens file all groups but health need a token, without one all are open.
  explicit AccessRules(bool have_tokens);

  AccessRule operator[](MethodGroup group) const { return rules_[static_cast<std::size_t>(group)]; }
  void Set(MethodGroup group, AccessRule rule) { rules_[static_cast<std::size_t>(group)] = rule; }
  // Whether some group needs a token.
  bool need_tokens() const;

  friend bool operator==(const AccessRules&, const AccessRules&) = default;

 private:
  std::array<AccessRule, kMethodGroups.size()> rules_;
};

// The defaults with the changes of "metadata=open,control=closed". InvalidArgument names a group or
// rule that does not exist, a group named twice, and a rule that needs tokens where there are none.
absl::StatusOr<AccessRules> ParseAccessRules(std::string_view text, bool have_tokens);

}  // namespace reprise::server::security
