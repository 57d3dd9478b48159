// What came of a simulated traffic, as text and as JSON.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nlohmann/json_fwd.hpp"
#include "server/simulation/simulator.h"

namespace reprise::server::commands {

// Of values of one kind; zeros when there are none. By nearest rank.
struct Percentiles {
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double max = 0;
};
Percentiles PercentilesOf(std::vector<double> values);

// All requests, or those of one priority or client.
struct TrafficSummary {
  std::int64_t requests = 0;
  std::int64_t in_time = 0;
  std::int64_t late = 0;
  std::int64_t expired = 0;
  std::int64_t refused = 0;
  Percentiles latency_ms;  // of those answered
  Percentiles wait_ms;     // of those answered
};

struct SimulationSummary {
  double seconds = 0;  // the time that rates are taken over: to the last arrival or answer
  TrafficSummary all;
  double goodput = 0;                               // requests answered in time, per second
  double tokens_per_second = 0;                     // of those
  std::map<int, TrafficSummary> by_priority;        // 0: the default
  std::map<std::string, TrafficSummary> by_client;  // the largest few, when there are several
  std::map<std::string, std::int64_t> refused_by_reason;
  std::int64_t batches = 0;
  Percentiles batch_requests;
  Percentiles batch_tokens;
  Percentiles batch_ms;
  std::map<std::string, std::int64_t> closed_by_reason;
  double busy = 0;  // share of the executors' time
};

SimulationSummary Summarize(const simulation::ArrivalTrace& trace,
                            const simulation::SimulationResult& result, int executors);

std::string ToText(const SimulationSummary& summary);
nlohmann::ordered_json ToJson(const SimulationSummary& summary);

}  // namespace reprise::server::commands
