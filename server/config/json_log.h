// The log: one JSON object per line on standard error.
//
//   {"time":"2024-05-01T12:00:00.123Z","level":"info","message":"model ready","model":"demo"}
//
// One line per change of state; request text never goes into it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace reprise::server::config {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning" or "error".
std::string_view Name(LogLevel level);
// InvalidArgument names the levels there are.
absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name);

// Facts beside the message, in the order given: {{"port", 8001}, {"model", "demo"}}.
using LogFields = nlohmann::ordered_json;

// Makes spdlog's default logger write such lines to standard error, dropping those below `level`.
// Call once, before any thread logs; until then lines go wherever spdlog's own default sends them.
// The functions below are the only way into the log: what else spdlog gets is written as it is.
void InstallJsonLog(LogLevel level);

// Whether lines of this level are written; saves making the fields of one that is not.
bool Logs(LogLevel level);
// The kinds of line that are written, each switched by itself.
struct LogLevels {
  bool info = true;
  bool warning = true;
  bool error = true;
  std::uint32_t verbosity = 0;  // above 0: lines for debugging too

  friend bool operator==(const LogLevels&, const LogLevels&) = default;
};

// Those of InstallJsonLog's level until changed. Thread-safe.
LogLevels EnabledLogLevels();
// Holds from the next line on; concurrent updates happen one after the other. Thread-safe.
void UpdateLogLevels(const std::function<void(LogLevels*)>& update);

// Thread-safe. Requires: `fields` is an object.
void Log(LogLevel level, std::string_view message, const LogFields& fields = LogFields::object());
inline void LogInfo(std::string_view message, const LogFields& fields = LogFields::object()) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(std::string_view message, const LogFields& fields = LogFields::object()) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(std::string_view message, const LogFields& fields = LogFields::object()) {
  Log(LogLevel::kError, message, fields);
}

// One line, without its end of line. Control characters and quotes are escaped, bytes that are not
// UTF-8 replaced; a field called time, level or message is left out.
std::string FormatLogLine(std::chrono::system_clock::time_point time, std::string_view level,
                          std::string_view message, const LogFields& fields);

}  // namespace reprise::server::config
