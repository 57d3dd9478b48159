// Which method of the inference protocol a path and a verb name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reprise::server::http {

enum class Method : std::uint8_t {
  kServerMetadata,
  kServerLive,
  kServerReady,
  kModelMetadata,
  kModelReady,
  kModelConfig,
  kModelStatistics,
  kModelInfer,
  kRepositoryIndex,
  kRepositoryModelLoad,
  kRepositoryModelUnload,
  kLogSettings,
  kNotBuilt  // of the protocol, but not of this server
};

struct Route {
  Method method = Method::kNotBuilt;
  std::string_view name;   // the method as gRPC and metrics call it; static
  std::string_view allow;  // the verbs it takes, as the header Allow lists them; static
  std::string model{};     // empty where the path names none
  std::string version{};   // empty: the latest
};

// The route of a request's target: an absolute path, or a whole URL as proxies send it; what
// follows a '?' is ignored, as is one '/' at the end. Names are percent-decoded. Nothing for a path
// that is not of the protocol.
std::optional<Route> FindRoute(std::string_view target);

// Whether `allow` lists the verb.
bool Allows(std::string_view allow, std::string_view verb);

}  // namespace reprise::server::http
