// What a run of the load generator sends, and how fast.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace reprise::loadtest {

struct LoadOptions {
  std::string address = "127.0.0.1:8001";
  std::string model;  // empty is an error
  std::string output = "sentence_embedding";
  // Lengths of the sequences, drawn evenly; one sequence per call. Each 1 to 65536.
  std::vector<int> seq_lens = {128};
  int vocab_size = 1000;  // ids are drawn from 0 to this - 1. >= 1
  // Calls per second, arriving as a Poisson process whatever the answers (open loop). 0: closed
  // loop, where each of `concurrency` callers sends when it has its answer.
  double rate = 0;
  int concurrency = 1;  // >= 1; closed loop only
  int connections = 1;  // calls take them in turn. 1 to 1024
  // Not counted: calls sent in the first `warm_up`. Counted: those of the `duration` after it.
  std::chrono::milliseconds warm_up{1000};
  std::chrono::milliseconds duration{10000};
  std::int64_t max_calls = 0;             // end earlier, after this many calls. 0: no limit
  std::chrono::milliseconds deadline{0};  // of each call. 0: none
  std::uint64_t seed = 1;
};

// InvalidArgument names the first field out of range, and the range.
absl::Status Validate(const LoadOptions& options);

}  // namespace reprise::loadtest
