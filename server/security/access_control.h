// Decides whether a caller may call a group of methods.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/security/access_rules.h"
#include "server/security/method_group.h"
#include "server/security/reloaded_files.h"
#include "server/security/token_table.h"

namespace reprise::server::security {

using TokenStore = ReloadedFiles<TokenTable>;

// Thread-safe.
class AccessControl {
 public:
  // `tokens` may be null where no rule needs one, and otherwise outlives this.
  explicit AccessControl(const AccessRules& rules, const TokenStore* tokens = nullptr);

  // The name of the caller's token, empty where none was needed. `authorization` are the values of
  // all headers of that name, "Bearer TOKEN" each. Unauthenticated without a token of this server,
  // PermissionDenied when the token may not call the group, or nobody may.
  absl::StatusOr<std::string> Authorize(MethodGroup group,
                                        std::span<const std::string_view> authorization) const;

 private:
  const AccessRules rules_;
  const TokenStore* const tokens_;
};

}  // namespace reprise::server::security
