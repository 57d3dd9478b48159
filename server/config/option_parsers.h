// Command line options whose text one of our own parsers reads.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"

namespace reprise::server::config {

// `parse` turns text into a StatusOr<T>; its message is what the user sees. `type` and
// `default_text` are for --help.
template <typename T, typename Parse>
CLI::Option* AddParsedOption(CLI::App& app, const std::string& name, T* target, Parse parse,
                             const std::string& type, const std::string& default_text,
                             const std::string& help) {
  const auto assign = [name, target, parse](const std::string& text) {
    auto value = parse(text);
    if (!value.ok()) throw CLI::ValidationError(name, std::string(value.status().message()));
    *target = *std::move(value);
  };
  return app.add_option_function<std::string>(name, assign, help)
      ->type_name(type)
      ->default_str(default_text);
}

// The same for a list with commas between its values, which replaces the default.
template <typename T, typename Parse>
CLI::Option* AddParsedList(CLI::App& app, const std::string& name, std::vector<T>* target,
                           Parse parse, const std::string& type, const std::string& default_text,
                           const std::string& help) {
  const auto assign = [name, target, parse](const std::vector<std::string>& texts) {
    target->clear();
    for (const std::string& text : texts) {
      auto value = parse(text);
      if (!value.ok()) throw CLI::ValidationError(name, std::string(value.status().message()));
      target->push_back(*std::move(value));
    }
  };
  return app.add_option_function<std::vector<std::string>>(name, assign, help)
      ->delimiter(',')
      ->type_name(type)
      ->default_str(default_text);
}

}  // namespace reprise::server::config
