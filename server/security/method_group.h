// Which of four groups a method belongs to, whatever the protocol it is called by.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace reprise::server::security {

enum class MethodGroup : std::uint8_t {
  kInference,  // runs a model
  kMetadata,   // tells about models and methods; changes nothing
  kControl,    // changes what the server does: loading, unloading, log settings
  kHealth,     // live and ready
};
inline constexpr std::array kMethodGroups = {MethodGroup::kInference, MethodGroup::kMetadata,
                                             MethodGroup::kControl, MethodGroup::kHealth};

// "inference", "metadata", "control" or "health".
std::string_view Name(MethodGroup group);
// InvalidArgument names the groups there are.
absl::StatusOr<MethodGroup> ParseMethodGroup(std::string_view name);

// The group of a method by the name under which it is counted ("ModelInfer", "Health/Check",
// "_unknown"; "/stream" at its end makes no difference). Names that are not listed are kControl,
// so that a method that was forgotten is guarded best.
MethodGroup GroupOf(std::string_view method);
// Whether the method is listed.
bool HasGroup(std::string_view method);

}  // namespace reprise::server::security
