#include "server/security/security.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/security/exposure.h"

namespace reprise::server::security {
namespace {

absl::Status CheckTogether(const SecurityOptions& options, const std::string& host) {
  if (options.tls.certificate.empty() != options.tls.private_key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(options.tls.certificate.empty()
                                                       ? "--tls-key is given without --tls-cert"
                                                       : "--tls-cert is given without --tls-key",
                                                   "; TLS needs both, a certificate and its key"));
  }
  if (!options.tls.client_ca.empty() && !options.tls.enabled()) {
    return absl::InvalidArgumentError(
        "--tls-client-ca asks clients for certificates, which needs TLS; give --tls-cert and "
        "--tls-key too");
  }
  const bool in_the_clear = !options.tls.enabled() && !IsLoopback(host);
  if (!options.tokens_file.empty() && in_the_clear && !options.tokens_without_tls) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tokens (--auth-tokens-file) would cross the network readable by everybody, because '",
        host, "' can be reached from other machines and there is no TLS; give --tls-cert and ",
        "--tls-key, or, where something in front of this server speaks TLS, ",
        "--auth-without-tls"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TokenStore>> OpenTokens(const std::string& path) {
  return TokenStore::Open(
      {path}, [path](const std::vector<std::string>& contents) -> absl::StatusOr<TokenTable> {
        absl::StatusOr<TokenTable> table = TokenTable::Parse(contents.front());
        if (table.ok()) return table;
        return absl::Status(table.status().code(),
                            absl::StrCat("tokens file '", path, "': ", table.status().message()));
      });
}

Security::Contents ContentsOf(const Certificates& now) {
  return {absl::StrCat(now.subject, " until ", DateOf(now.not_after)), now.not_after};
}

Security::Contents ContentsOf(const TokenTable& now) {
  return {absl::StrCat(now.size(), " tokens")};
}

template <typename T>
void RefreshOne(std::string_view what, T* files, const Security::OnReload& on_reload) {
  if (files == nullptr) return;
  const absl::StatusOr<bool> changed = files->Refresh();
  if (!changed.ok()) return on_reload(what, changed.status());
  if (*changed) on_reload(what, ContentsOf(*files->current()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Security>> Security::Open(const SecurityOptions& options,
                                                         const std::string& host,
                                                         OnReload on_reload) {
  REPRISE_RETURN_IF_ERROR(CheckTogether(options, host));
  std::unique_ptr<Security> security(new Security);
  if (options.tls.enabled()) {
    REPRISE_ASSIGN_OR_RETURN(security->certificates_, OpenCertificates(options.tls));
  }
  if (!options.tokens_file.empty()) {
    REPRISE_ASSIGN_OR_RETURN(security->tokens_, OpenTokens(options.tokens_file));
  }
  REPRISE_ASSIGN_OR_RETURN(const AccessRules rules,
                           ParseAccessRules(options.access_rules, security->tokens_ != nullptr));
  security->access_ = std::make_unique<AccessControl>(rules, security->tokens_.get());
  if (security->certificates_ != nullptr || security->tokens_ != nullptr) {
    security->reload_ = std::make_unique<ReloadThread>(
        options.reload_interval,
        [self = security.get(), on_reload = std::move(on_reload)] { self->Refresh(on_reload); });
  }
  return security;
}

void Security::Refresh(const OnReload& on_reload) {
  RefreshOne("certificates", certificates_.get(), on_reload);
  RefreshOne("tokens", tokens_.get(), on_reload);
}

}  // namespace reprise::server::security
