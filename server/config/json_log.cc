#include "server/config/json_log.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/request/mutex.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace reprise::server::config {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};
constexpr std::array<spdlog::level::level_enum, 4> kSpdlogLevels = {
    spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};

// The level that a line of spdlog belongs to.
LogLevel LevelOf(spdlog::level::level_enum level) {
  if (level <= spdlog::level::debug) return LogLevel::kDebug;
  if (level >= spdlog::level::err) return LogLevel::kError;
  return level == spdlog::level::warn ? LogLevel::kWarning : LogLevel::kInfo;
}

// Which levels are on; spdlog itself knows only thresholds.
class Switches {
 public:
  bool On(LogLevel level) const {
    return on_[static_cast<std::size_t>(level)].load(std::memory_order_relaxed);
  }
  LogLevels levels() {
    MutexLock lock(mutex_);
    return levels_;
  }
  void Update(const std::function<void(LogLevels*)>& update) {
    MutexLock lock(mutex_);
    update(&levels_);
    const std::array<bool, 4> on = {levels_.verbosity > 0, levels_.info, levels_.warning,
                                    levels_.error};
    for (std::size_t i = 0; i < on.size(); ++i) on_[i].store(on[i], std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<bool>, 4> on_{false, true, true, true};  // by LogLevel
  Mutex mutex_;
  LogLevels levels_ ABSL_GUARDED_BY(mutex_);
};

Switches& TheSwitches() {
  static Switches switches;
  return switches;
}

class SwitchedSink final : public spdlog::sinks::stderr_sink_mt {
 public:
  void log(const spdlog::details::log_msg& record) override {
    if (TheSwitches().On(LevelOf(record.level))) spdlog::sinks::stderr_sink_mt::log(record);
  }
};

std::string UtcTime(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(since_epoch.count() % 1000));
  return text.data();
}

}  // namespace

std::string_view Name(LogLevel level) { return kLevelNames[static_cast<std::size_t>(level)]; }

absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == name) return static_cast<LogLevel>(i);
  }
  return absl::InvalidArgumentError(absl::StrCat("log level is '", std::string(name),
                                                 "', expected debug, info, warning or error"));
}

void InstallJsonLog(LogLevel level) {
  UpdateLogLevels([level](LogLevels* levels) {
    *levels = {.info = level <= LogLevel::kInfo,
               .warning = level <= LogLevel::kWarning,
               .error = true,
               .verbosity = level == LogLevel::kDebug ? 1u : 0u};
  });
  auto sink = std::make_shared<SwitchedSink>();
  auto logger = std::make_shared<spdlog::logger>("reprise", std::move(sink));
  logger->set_pattern("%v");  // a line is whole when spdlog gets it
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

bool Logs(LogLevel level) { return TheSwitches().On(level); }

LogLevels EnabledLogLevels() { return TheSwitches().levels(); }

void UpdateLogLevels(const std::function<void(LogLevels*)>& update) {
  TheSwitches().Update(update);
}

void Log(LogLevel level, std::string_view message, const LogFields& fields) {
  REPRISE_CHECK(fields.is_object());
  if (!Logs(level)) return;
  const std::string line =
      FormatLogLine(std::chrono::system_clock::now(), Name(level), message, fields);
  spdlog::default_logger_raw()->log(kSpdlogLevels[static_cast<std::size_t>(level)],
                                    spdlog::string_view_t(line.data(), line.size()));
}

std::string FormatLogLine(std::chrono::system_clock::time_point time, std::string_view level,
                          std::string_view message, const LogFields& fields) {
  LogFields line = {{"time", UtcTime(time)}, {"level", level}, {"message", message}};
  if (fields.is_object()) {
    for (const auto& [key, value] : fields.items()) {
      if (!line.contains(key)) line[key] = value;
    }
  }
  return line.dump(-1, ' ', false, LogFields::error_handler_t::replace);
}

}  // namespace reprise::server::config
