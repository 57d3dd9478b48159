// Writes a log line for each change of a model's or the server's state, and passes events on.
#pragma once

#include "server/request/passing_observer.h"

namespace reprise::server::config {

// Thread-safe. Nothing is logged per request.
class LoggingObserver : public PassingObserver {
 public:
  using PassingObserver::PassingObserver;

  void OnModelState(std::string_view model, std::string_view version, ModelState state,
                    std::string_view reason) override;
  void OnModelReady(const ModelDescription& description,
                    std::chrono::nanoseconds load_time) override;
  void OnDraining() override;
};

}  // namespace reprise::server::config
