#include "server/config/grpc_log.h"

#include <string>
#include <string_view>
#include <utility>

#include "grpc/support/log.h"
#include "server/config/json_log.h"

namespace reprise::server::config {
namespace {

void LogOfGrpc(gpr_log_func_args* said) {
  static OncePerSecond* const warnings = new OncePerSecond;  // gRPC may log until the very end
  const std::string_view path = said->file;
  LogFields fields = {
      {"from", "grpc"}, {"file", path.substr(path.rfind('/') + 1)}, {"line", said->line}};
  if (said->severity != GPR_LOG_SEVERITY_ERROR) return Log(LogLevel::kDebug, said->message, fields);
  const auto left_out = warnings->Pass(SteadyClock::now());
  if (!left_out.has_value()) return;
  if (*left_out > 0) fields["left_out"] = *left_out;
  LogWarning(said->message, fields);
}

}  // namespace

void InstallGrpcLog() { gpr_set_log_function(LogOfGrpc); }

std::optional<std::int64_t> OncePerSecond::Pass(SteadyClock::time_point now) {
  MutexLock lock(mutex_);
  if (last_.has_value() && now - *last_ < std::chrono::seconds(1)) {
    ++held_back_;
    return std::nullopt;
  }
  last_ = now;
  return std::exchange(held_back_, 0);
}

}  // namespace reprise::server::config
