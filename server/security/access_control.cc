#include "server/security/access_control.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::security {
namespace {

// RFC 6750: the word Bearer in any case, spaces, the token.
std::optional<std::string_view> BearerToken(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size() ||
      !absl::EqualsIgnoreCase(absl::string_view(header.data(), kScheme.size()),
                              absl::string_view(kScheme.data(), kScheme.size()))) {
    return std::nullopt;
  }
  header.remove_prefix(kScheme.size());
  header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
  return header.empty() ? std::nullopt : std::optional(header);
}

}  // namespace

AccessControl::AccessControl(const AccessRules& rules, const TokenStore* tokens)
    : rules_(rules), tokens_(tokens) {
  REPRISE_CHECK(tokens != nullptr || !rules.need_tokens());
}

absl::StatusOr<std::string> AccessControl::Authorize(
    MethodGroup group, std::span<const std::string_view> authorization) const {
  const std::string group_name(Name(group));
  switch (rules_[group]) {
    case AccessRule::kOpen:
      return std::string();
    case AccessRule::kClosed:
      return absl::PermissionDeniedError(
          absl::StrCat("nobody may call ", group_name, " methods of this server (--auth-rules)"));
    case AccessRule::kToken:
      break;
  }
  if (authorization.size() != 1) {
    return absl::UnauthenticatedError(absl::StrCat(
        group_name, " methods of this server need one header 'authorization: Bearer TOKEN', found ",
        authorization.size()));
  }
  const std::optional<std::string_view> token = BearerToken(authorization.front());
  if (!token.has_value()) {
    return absl::UnauthenticatedError(
        "the authorization header is not 'Bearer TOKEN', which this server expects");
  }
  const std::shared_ptr<const TokenTable> table = tokens_->current();
  const TokenOwner* owner = table->Find(*token);
  if (owner == nullptr) {
    return absl::UnauthenticatedError("the token is not one that this server knows");
  }
  if (owner->groups.Contains(group)) return owner->name;
  return absl::PermissionDeniedError(absl::StrCat("the token of '", owner->name, "' may not call ",
                                                  group_name, " methods, only ",
                                                  owner->groups.Text()));
}

}  // namespace reprise::server::security
