#include "server/http/router.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace reprise::server::http {
namespace {

constexpr std::string_view kRead = "GET, HEAD";
constexpr std::string_view kWrite = "POST";
constexpr std::string_view kReadAndWrite = "GET, HEAD, POST";

// In a pattern MODEL stands for M or M/versions/V, NAME for one segment. The first match counts.
struct Pattern {
  absl::string_view path;
  std::string_view allow;
  Method method;
  std::string_view name;
};
constexpr Pattern kPatterns[] = {
    {"v2", kRead, Method::kServerMetadata, "ServerMetadata"},
    {"v2/health/live", kRead, Method::kServerLive, "ServerLive"},
    {"v2/health/ready", kRead, Method::kServerReady, "ServerReady"},
    {"v2/models/stats", kRead, Method::kModelStatistics, "ModelStatistics"},
    {"v2/models/MODEL", kRead, Method::kModelMetadata, "ModelMetadata"},
    {"v2/models/MODEL/ready", kRead, Method::kModelReady, "ModelReady"},
    {"v2/models/MODEL/config", kRead, Method::kModelConfig, "ModelConfig"},
    {"v2/models/MODEL/stats", kRead, Method::kModelStatistics, "ModelStatistics"},
    {"v2/models/MODEL/infer", kWrite, Method::kModelInfer, "ModelInfer"},
    {"v2/models/MODEL/trace/setting", kReadAndWrite, Method::kNotBuilt, "TraceSetting"},
    {"v2/trace/setting", kReadAndWrite, Method::kNotBuilt, "TraceSetting"},
    {"v2/logging", kReadAndWrite, Method::kLogSettings, "LogSettings"},
    {"v2/repository/index", kWrite, Method::kRepositoryIndex, "RepositoryIndex"},
    {"v2/repository/models/NAME/load", kWrite, Method::kRepositoryModelLoad, "RepositoryModelLoad"},
    {"v2/repository/models/NAME/unload", kWrite, Method::kRepositoryModelUnload,
     "RepositoryModelUnload"},
    {"v2/systemsharedmemory/status", kRead, Method::kNotBuilt, "SystemSharedMemoryStatus"},
    {"v2/systemsharedmemory/region/NAME/status", kRead, Method::kNotBuilt,
     "SystemSharedMemoryStatus"},
    {"v2/systemsharedmemory/region/NAME/register", kWrite, Method::kNotBuilt,
     "SystemSharedMemoryRegister"},
    {"v2/systemsharedmemory/unregister", kWrite, Method::kNotBuilt, "SystemSharedMemoryUnregister"},
    {"v2/systemsharedmemory/region/NAME/unregister", kWrite, Method::kNotBuilt,
     "SystemSharedMemoryUnregister"},
    {"v2/cudasharedmemory/status", kRead, Method::kNotBuilt, "CudaSharedMemoryStatus"},
    {"v2/cudasharedmemory/region/NAME/status", kRead, Method::kNotBuilt, "CudaSharedMemoryStatus"},
    {"v2/cudasharedmemory/region/NAME/register", kWrite, Method::kNotBuilt,
     "CudaSharedMemoryRegister"},
    {"v2/cudasharedmemory/unregister", kWrite, Method::kNotBuilt, "CudaSharedMemoryUnregister"},
    {"v2/cudasharedmemory/region/NAME/unregister", kWrite, Method::kNotBuilt,
     "CudaSharedMemoryUnregister"},
};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing when a '%' is not followed by two hexadecimal digits.
std::optional<std::string> PercentDecoded(absl::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(16 * high + low));
    i += 2;
  }
  return decoded;
}

// Whether the segments, all of them, are what `pattern` says; fills the names of `route`.
bool Matches(absl::string_view pattern, const std::vector<std::string>& segments, Route* route) {
  std::size_t next = 0;
  for (const absl::string_view expected : absl::StrSplit(pattern, '/')) {
    if (next == segments.size()) return false;
    const std::string& segment = segments[next++];
    if (expected != "MODEL" && expected != "NAME") {
      if (segment != expected) return false;
      continue;
    }
    if (segment.empty()) return false;
    route->model = segment;
    const bool versioned =
        expected == "MODEL" && segments.size() - next >= 2 && segments[next] == "versions";
    route->version = versioned ? segments[next + 1] : "";
    if (versioned && route->version.empty()) return false;
    if (versioned) next += 2;
  }
  return next == segments.size();
}

// "/v2/health/live" of that path, of one with a query behind it, or of a whole URL.
absl::string_view PathOf(absl::string_view target) {
  if (const std::size_t scheme = target.find("://");
      scheme != absl::string_view::npos && target.find('/') == scheme + 1) {
    const std::size_t path = target.find('/', scheme + 3);
    target = path == absl::string_view::npos ? "/" : target.substr(path);
  }
  target = target.substr(0, target.find('?'));
  if (target.size() > 1 && target.back() == '/') target.remove_suffix(1);
  return target;
}

}  // namespace

std::optional<Route> FindRoute(std::string_view target) {
  absl::string_view path = PathOf({target.data(), target.size()});
  if (path.empty() || path[0] != '/') return std::nullopt;
  std::vector<std::string> segments;
  for (const absl::string_view segment : absl::StrSplit(path.substr(1), '/')) {
    std::optional<std::string> decoded = PercentDecoded(segment);
    if (!decoded.has_value()) return std::nullopt;
    segments.push_back(*std::move(decoded));
  }
  for (const Pattern& pattern : kPatterns) {
    Route route{.method = pattern.method, .name = pattern.name, .allow = pattern.allow};
    if (Matches(pattern.path, segments, &route)) return route;
  }
  return std::nullopt;
}

bool Allows(std::string_view allow, std::string_view verb) {
  for (const absl::string_view each :
       absl::StrSplit(absl::string_view(allow.data(), allow.size()), ", ")) {
    if (each == absl::string_view(verb.data(), verb.size())) return true;
  }
  return false;
}

}  // namespace reprise::server::http
