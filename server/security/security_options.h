// What `reprise serve` can be told about certificates and callers.
#pragma once

#include <chrono>
#include <string>

#include "server/security/certificates.h"

namespace reprise::server::security {

struct SecurityOptions {
  TlsFiles tls;
  std::string tokens_file;   // of TokenTable; empty: nobody needs a token
  std::string access_rules;  // of ParseAccessRules; empty: its defaults
  // Accept tokens on addresses that other machines reach, without TLS: everybody on the way can
  // read and use them.
  bool tokens_without_tls = false;
  std::chrono::milliseconds reload_interval{1000};  // how often the files are looked at
};

}  // namespace reprise::server::security
