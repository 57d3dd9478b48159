#include "server/repository/control_parameters.h"

#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace reprise::server::repository {
namespace {

absl::Status Unknown(const std::string& name, const char* known) {
  return absl::InvalidArgumentError(
      absl::StrCat("unknown parameter '", name, "', expected ", known));
}

absl::Status WrongType(const std::string& name, const char* expected) {
  return absl::InvalidArgumentError(absl::StrCat("parameter '", name, "' is not ", expected));
}

}  // namespace

absl::StatusOr<std::optional<std::string>> ReadLoadParameters(const ControlParameters& parameters) {
  std::optional<std::string> config;
  for (const auto& [name, value] : parameters) {
    if (absl::StartsWith(name, "file:")) {
      return absl::UnimplementedError(
          absl::StrCat("parameter '", name, "': this server takes no files over the network; put ",
                       "them into its model repository and load the model without this parameter"));
    }
    if (name != "config") return Unknown(name, "'config'");
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return WrongType(name, "a string: the text of a model.json");
    config = *text;
  }
  return config;
}

absl::Status CheckUnloadParameters(const ControlParameters& parameters) {
  for (const auto& [name, value] : parameters) {
    if (name != "unload_dependents") return Unknown(name, "'unload_dependents'");
    if (!std::holds_alternative<bool>(value)) return WrongType(name, "a bool");
  }
  return absl::OkStatus();
}

}  // namespace reprise::server::repository
