#include "server/security/access_rules.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/check.h"

namespace reprise::server::security {
namespace {

absl::StatusOr<AccessRule> ParseRule(std::string_view name) {
  if (name == "open") return AccessRule::kOpen;
  if (name == "token") return AccessRule::kToken;
  if (name == "closed") return AccessRule::kClosed;
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(name), "' is not a rule; expected open, token or closed"));
}

}  // namespace

AccessRules::AccessRules(bool have_tokens) {
  rules_.fill(have_tokens ? AccessRule::kToken : AccessRule::kOpen);
  Set(MethodGroup::kHealth, AccessRule::kOpen);
}

bool AccessRules::need_tokens() const {
  return std::find(rules_.begin(), rules_.end(), AccessRule::kToken) != rules_.end();
}

absl::StatusOr<AccessRules> ParseAccessRules(std::string_view text, bool have_tokens) {
  AccessRules rules(have_tokens);
  if (text.empty()) return rules;
  std::set<MethodGroup> seen;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(std::string(text), ','))) {
    const std::pair<std::string, std::string> sides = absl::StrSplit(part, absl::MaxSplits('=', 1));
    REPRISE_ASSIGN_OR_RETURN(const MethodGroup group, ParseMethodGroup(sides.first));
    REPRISE_ASSIGN_OR_RETURN(const AccessRule rule, ParseRule(sides.second));
    if (!seen.insert(group).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("there are two rules for ", sides.first, "; expected one"));
    }
    if (rule == AccessRule::kToken && !have_tokens) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the rule ", part, " needs tokens; name their file with ", "--auth-tokens-file"));
    }
    rules.Set(group, rule);
  }
  return rules;
}

}  // namespace reprise::server::security
