// Certificates and access rules of one server, kept up to date while it runs.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/security/access_control.h"
#include "server/security/certificates.h"
#include "server/security/reload_thread.h"
#include "server/security/security_options.h"

namespace reprise::server::security {

// What a front end needs to guard its port. Null members: no TLS; every method open to everybody.
struct PortGuards {
  const CertificateStore* certificates = nullptr;
  const AccessControl* access = nullptr;
};

// Thread-safe.
class Security {
 public:
  // What changed files hold.
  struct Contents {
    std::string description;
    std::optional<std::chrono::system_clock::time_point> expires{};  // of certificates
  };
  // Files changed and are used now, or cannot be used, and what was current stays: `now` says why.
  // `what` is "certificates" or "tokens". Called on a thread of its own.
  using OnReload = std::function<void(std::string_view what, const absl::StatusOr<Contents>& now)>;

  // `host` is the address that ports will listen on. InvalidArgument or NotFound when a file cannot
  // be used, options contradict each other, or tokens would cross a network in the clear.
  static absl::StatusOr<std::unique_ptr<Security>> Open(const SecurityOptions& options,
                                                        const std::string& host,
                                                        OnReload on_reload);

  PortGuards guards() const { return {certificates_.get(), access_.get()}; }

 private:
  Security() = default;
  void Refresh(const OnReload& on_reload);

  std::unique_ptr<CertificateStore> certificates_;
  std::unique_ptr<TokenStore> tokens_;
  std::unique_ptr<AccessControl> access_;
  std::unique_ptr<ReloadThread> reload_;  // last: it uses the members above
};

}  // namespace reprise::server::security
