#include "engine/architectures/config_reader.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::architectures {

bool ConfigReader::Has(const std::string& key) const {
  const auto it = object_.find(key);
  return it != object_.end() && !it->is_null();
}

absl::StatusOr<int> ConfigReader::RequiredInteger(const std::string& key, int lowest,
                                                  int highest) const {
  if (!Has(key)) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_, " has no key ", key, "; expected an integer from ", lowest, " to ", highest));
  }
  return Integer(key, lowest, highest, lowest);
}

absl::StatusOr<int> ConfigReader::Integer(const std::string& key, int lowest, int highest,
                                          int otherwise) const {
  if (!Has(key)) return otherwise;
  const nlohmann::json& value = object_[key];
  // Unsigned numbers above the signed range would wrap around.
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT32_MAX);
  const std::int64_t number = fits ? value.get<std::int64_t>() : 0;
  if (!fits || number < lowest || number > highest) {
    return Unexpected(key, absl::StrCat("an integer from ", lowest, " to ", highest));
  }
  return static_cast<int>(number);
}

absl::StatusOr<double> ConfigReader::Number(const std::string& key, double otherwise) const {
  if (!Has(key)) return otherwise;
  if (!object_[key].is_number()) return Unexpected(key, "a number");
  return object_[key].get<double>();
}

absl::StatusOr<bool> ConfigReader::Bool(const std::string& key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  if (!object_[key].is_boolean()) return Unexpected(key, "true or false");
  return object_[key].get<bool>();
}

absl::StatusOr<std::string> ConfigReader::String(const std::string& key,
                                                 const std::string& otherwise) const {
  if (!Has(key)) return otherwise;
  if (!object_[key].is_string()) return Unexpected(key, "a string");
  return object_[key].get<std::string>();
}

absl::Status ConfigReader::Unexpected(const std::string& key, const std::string& expected) const {
  return absl::InvalidArgumentError(absl::StrCat(
      file_, " has ", key, " = ", weights::JsonText(object_[key]), "; expected ", expected));
}

}  // namespace reprise::engine::architectures
