// What a protocol's server answers from.
#pragma once

#include <functional>

#include "server/request/log_settings.h"
#include "server/request/model_statistics.h"
#include "server/request/observer.h"
#include "server/request/serving_core.h"

namespace reprise::server {

// All of it outlives the server, and the core calls back no more once the server's destructor has
// begun.
struct Backend {
  ServingCore& core;
  Observer& observer;
  const StatisticsSource& statistics;
  LogControl& log;
  std::function<bool()> alive;  // what liveness reports; must not block
};

}  // namespace reprise::server
