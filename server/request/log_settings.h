// What the log writes: read and changed while the server runs, by whatever protocol.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"

namespace reprise::server {

struct LogSettings {
  std::string file{};  // empty: standard error
  bool info = true;
  bool warning = true;
  bool error = true;
  std::uint32_t verbose_level = 0;  // 0: no lines for debugging
  std::string format{};
};

// What shall change; the rest stays.
struct LogChange {
  std::optional<std::string> file{};
  std::optional<bool> info{};
  std::optional<bool> warning{};
  std::optional<bool> error{};
  std::optional<std::uint32_t> verbose_level{};
  std::optional<std::string> format{};
};

// Thread-safe.
class LogControl {
 public:
  virtual ~LogControl() = default;
  virtual LogSettings Settings() const = 0;
  // All of the change or nothing. An error says what cannot be set, and why.
  virtual absl::Status Change(const LogChange& change) = 0;
};

// A setting as protocols carry it, under the names of Triton's logging extension: log_file,
// log_info, log_warning, log_error, log_verbose_level, log_format.
using LogSettingValue = std::variant<bool, std::uint32_t, std::string>;

std::map<std::string, LogSettingValue> ToNamedValues(const LogSettings& settings);

// InvalidArgument for a name that is none of these, or a value of another type.
absl::Status SetNamedValue(std::string_view name, const LogSettingValue& value, LogChange* change);

}  // namespace reprise::server
