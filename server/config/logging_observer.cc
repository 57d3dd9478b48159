#include "server/config/logging_observer.h"

#include <string>

#include "engine/model.h"
#include "server/config/json_log.h"
#include "server/repository/serving_options.h"

namespace reprise::server::config {

void LoggingObserver::OnModelState(std::string_view model, std::string_view version,
                                   ModelState state, std::string_view reason) {
  PassingObserver::OnModelState(model, version, state, reason);
  const LogFields fields = {{"model", model}, {"version", version}};
  switch (state) {
    case ModelState::kLoading:
      LogInfo("model loading", fields);
      break;
    case ModelState::kUnloading:
      LogInfo("model unloading", fields);
      break;
    case ModelState::kUnavailable:
      LogError("model unavailable", {{"model", model}, {"version", version}, {"reason", reason}});
      break;
    case ModelState::kReady:  // OnModelReady says more
    case ModelState::kUnknown:
      break;
  }
}

void LoggingObserver::OnModelReady(const ModelDescription& description,
                                   std::chrono::nanoseconds load_time) {
  PassingObserver::OnModelReady(description, load_time);
  const engine::Model& model = *description.model;
  const ModelLimits& limits = description.limits;
  LogInfo("model ready", {{"model", description.name},
                          {"version", description.version},
                          {"load_seconds", std::chrono::duration<double>(load_time).count()},
                          {"reuse_plan", model.plan().name()},
                          {"precision", engine::Name(model.precision())},
                          {"strategy", description.strategy},
                          {"device", description.device},
                          {"parameter_bytes", model.parameter_bytes()},
                          {"executors", limits.executors},
                          {"threads", limits.threads},
                          {"max_batch_tokens", limits.max_batch_tokens}});
}

void LoggingObserver::OnDraining() {
  PassingObserver::OnDraining();
  LogInfo("draining");
}

}  // namespace reprise::server::config
