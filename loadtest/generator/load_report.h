// What a run of the load generator saw, in counts and percentiles.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "loadtest/generator/latency_histogram.h"
#include "loadtest/generator/load_run.h"
#include "nlohmann/json.hpp"

namespace reprise::loadtest {

// A call sent later than this after it was due is a late one, and a run with more than this share
// of late ones measured its own generator.
constexpr std::chrono::milliseconds kLate{1};
constexpr double kMostLate = 0.01;

// Calls that were due in one stretch of the run.
struct LoadInterval {
  double start_s = 0;  // since counting began
  double seconds = 0;
  std::int64_t due = 0;
  std::int64_t ok = 0;
  LatencyHistogram ok_latency{};
};

struct LoadReport {
  double seconds = 0;  // in which the calls were due
  std::int64_t calls = 0;
  std::map<std::string, std::int64_t> by_code;  // gRPC's names
  LatencyHistogram ok, refused, lateness;
  std::int64_t late = 0;  // sent more than kLate after they were due
  std::int64_t not_sent = 0;
  std::vector<LoadInterval> intervals;  // at least one, a second each or longer

  double offered_per_second() const;
  double ok_per_second() const;
  double ok_share() const;  // of all that were due; 0 of none
  double late_share() const;
  // False: the generator could not keep to its plan, so the latencies are not the server's alone.
  bool valid() const { return late_share() <= kMostLate && not_sent == 0; }

  nlohmann::ordered_json ToJson() const;
  std::string ToText() const;
};

LoadReport MakeReport(const LoadOutcome& outcome);

// gRPC's name of a status code, as "RESOURCE_EXHAUSTED"; "CODE_99" for one it does not have.
std::string CodeName(::grpc::StatusCode code);

double Milliseconds(std::chrono::nanoseconds time);

}  // namespace reprise::loadtest
