// What a run of the load generator sends, and when.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/simulation/synthetic_trace.h"

namespace reprise::loadtest {

struct LoadOptions {
  std::string address = "127.0.0.1:8001";
  std::string model{};  // empty is an error
  std::string output = "sentence_embedding";

  // One sequence per call: random ids of such lengths, or, if there are any, one of the texts.
  std::vector<server::simulation::LengthRange> lengths = {{128, 128, 1}};
  int vocab_size = 1000;  // ids are drawn from 0 to this - 1. >= 1
  std::vector<std::string> texts{};

  // Open loop: calls are due at the times of a trace, or of `rate` per second in `pattern`,
  // whatever becomes of them. With neither a closed loop, where each of `concurrency` callers
  // sends its next call when it has its answer.
  std::string trace{};  // the text of a trace (server/simulation/arrival_trace.h)
  double rate = 0;
  server::simulation::ArrivalPattern pattern = server::simulation::ArrivalPattern::kPoisson;
  std::chrono::milliseconds burst_on{1000};
  std::chrono::milliseconds burst_off{1000};
  int concurrency = 1;
  std::string client_key{};  // metadata key for the clients that a trace names; empty: not sent

  int connections = 1;  // calls take them in turn. 1 to 1024
  // Not counted: calls due in the first `warm_up`. Counted: those of the `duration` after it.
  std::chrono::milliseconds warm_up{1000};
  std::chrono::milliseconds duration{10000};
  std::int64_t max_calls = 0;              // end earlier, after this many calls. 0: no limit
  std::chrono::milliseconds deadline{0};   // of each call, after it was due. 0: none
  std::chrono::milliseconds drain{60000};  // after the last call was due, answers are waited for
  std::uint64_t seed = 1;

  bool open_loop() const { return rate > 0 || !trace.empty(); }
};

// InvalidArgument names the first field out of range, and the range.
absl::Status Validate(const LoadOptions& options);

}  // namespace reprise::loadtest
