// Typed, bounded access to the keys of one JSON object of a config file.
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::engine::architectures {

// A view: `object` must outlive it. A key that is null counts as absent, as in Hugging Face's
// loaders. Errors are InvalidArgument with `file`, the key, the value found and what was expected.
class ConfigReader {
 public:
  // Requires: `object` is a JSON object. `file` names it in messages.
  ConfigReader(const nlohmann::json& object, std::string file)
      : object_(object), file_(std::move(file)) {}

  bool Has(const std::string& key) const;
  // An integer in lowest..highest; an error if the key is absent.
  absl::StatusOr<int> RequiredInteger(const std::string& key, int lowest, int highest) const;
  // The same, or `otherwise` if the key is absent.
  absl::StatusOr<int> Integer(const std::string& key, int lowest, int highest, int otherwise) const;
  absl::StatusOr<double> Number(const std::string& key, double otherwise) const;
  absl::StatusOr<bool> Bool(const std::string& key, bool otherwise) const;
  absl::StatusOr<std::string> String(const std::string& key, const std::string& otherwise) const;

  // "'file' has KEY = VALUE; expected EXPECTED".
  absl::Status Unexpected(const std::string& key, const std::string& expected) const;

 private:
  const nlohmann::json& object_;
  std::string file_;
};

}  // namespace reprise::engine::architectures
