#include "server/security/method_group.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace reprise::server::security {
namespace {

struct Listed {
  std::string_view method;
  MethodGroup group;
};

constexpr Listed kListed[] = {
    {"ModelInfer", MethodGroup::kInference},
    {"ModelStreamInfer", MethodGroup::kInference},
    {"Embed", MethodGroup::kInference},
    {"EmbedStream", MethodGroup::kInference},

    {"ServerMetadata", MethodGroup::kMetadata},
    {"ModelMetadata", MethodGroup::kMetadata},
    {"ModelConfig", MethodGroup::kMetadata},
    {"ModelStatistics", MethodGroup::kMetadata},
    {"RepositoryIndex", MethodGroup::kMetadata},
    {"DescribeModel", MethodGroup::kMetadata},
    {"ServerReflectionInfo", MethodGroup::kMetadata},
    {"_unknown", MethodGroup::kMetadata},

    {"RepositoryModelLoad", MethodGroup::kControl},
    {"RepositoryModelUnload", MethodGroup::kControl},
    {"LogSettings", MethodGroup::kControl},
    {"TraceSetting", MethodGroup::kControl},
    {"SystemSharedMemoryStatus", MethodGroup::kControl},
    {"SystemSharedMemoryRegister", MethodGroup::kControl},
    {"SystemSharedMemoryUnregister", MethodGroup::kControl},
    {"CudaSharedMemoryStatus", MethodGroup::kControl},
    {"CudaSharedMemoryRegister", MethodGroup::kControl},
    {"CudaSharedMemoryUnregister", MethodGroup::kControl},

    {"ServerLive", MethodGroup::kHealth},
    {"ServerReady", MethodGroup::kHealth},
    {"ModelReady", MethodGroup::kHealth},
    {"Health/Check", MethodGroup::kHealth},
    {"Health/List", MethodGroup::kHealth},
    {"Health/Watch", MethodGroup::kHealth},
};

const Listed* Find(std::string_view method) {
  constexpr std::string_view kStream = "/stream";
  if (method.ends_with(kStream)) method.remove_suffix(kStream.size());
  const auto* found =
      std::find_if(std::begin(kListed), std::end(kListed),
                   [method](const Listed& listed) { return listed.method == method; });
  return found == std::end(kListed) ? nullptr : found;
}

}  // namespace

std::string_view Name(MethodGroup group) {
  switch (group) {
    case MethodGroup::kInference:
      return "inference";
    case MethodGroup::kMetadata:
      return "metadata";
    case MethodGroup::kControl:
      return "control";
    case MethodGroup::kHealth:
      return "health";
  }
  return "control";
}

absl::StatusOr<MethodGroup> ParseMethodGroup(std::string_view name) {
  for (const MethodGroup group : kMethodGroups) {
    if (Name(group) == name) return group;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(name),
                   "' is not a group of methods; expected inference, metadata, control or health"));
}

MethodGroup GroupOf(std::string_view method) {
  const Listed* listed = Find(method);
  return listed == nullptr ? MethodGroup::kControl : listed->group;
}

bool HasGroup(std::string_view method) { return Find(method) != nullptr; }

}  // namespace reprise::server::security
