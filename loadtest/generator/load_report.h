// What a run of the load generator saw, in counts and percentiles.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "grpcpp/grpcpp.h"
#include "nlohmann/json.hpp"

namespace reprise::loadtest {

// How one counted call ended.
struct CallOutcome {
  ::grpc::StatusCode code = ::grpc::StatusCode::OK;
  // From the moment the call was due to its end: a caller that is late adds its lateness.
  std::chrono::nanoseconds latency{0};
  bool refused_by_server = false;  // an error with the server's own details, not the client's clock
};

// Nearest-rank percentile of unsorted values; 0 for none. 0 < percent <= 100.
std::chrono::nanoseconds Percentile(std::vector<std::chrono::nanoseconds> values, double percent);

class LoadReport {
 public:
  // `span` is the time over which the outcomes' calls were sent.
  LoadReport(const std::vector<CallOutcome>& outcomes, std::chrono::nanoseconds span);

  nlohmann::json ToJson() const;
  std::string ToText() const;

 private:
  struct Latencies {
    std::int64_t calls = 0;
    double p50_ms = 0, p90_ms = 0, p99_ms = 0, max_ms = 0;
  };
  static Latencies Summarize(const std::vector<std::chrono::nanoseconds>& values);
  static nlohmann::json ToJson(const Latencies& latencies);

  double seconds_ = 0;
  std::int64_t calls_ = 0;
  std::map<std::string, std::int64_t> by_code_;
  Latencies ok_;
  Latencies refused_;
};

}  // namespace reprise::loadtest
