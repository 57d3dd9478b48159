// The limits of one model's queue and batches.
#pragma once

#include <chrono>
#include <cstdint>

#include "absl/status/status.h"

namespace reprise::server::batching {

// All limits count real tokens, never padding. A limit is >= 1 unless said otherwise.
struct BatchingOptions {
  // Sequences of one batch, so also of one request. 1 to 65536.
  std::int64_t max_batch_size = 256;
  // Tokens of one batch, so also of one request. The executors' memory grows with it. 0: 4096, or
  // the model's longest sequence where that is more. 0 to 16777216.
  std::int64_t max_batch_tokens = 0;
  // Bytes that the attention scores of a batch would take, all heads of one layer: sum over its
  // sequences of heads x length^2 x bytes per score. Bounds the part of the work that is quadratic.
  // A request that exceeds it alone is run alone.
  std::int64_t max_batch_score_bytes = std::int64_t{256} << 20;
  // How long an idle executor lets the oldest request wait for company. 0 runs what is there at
  // once: requests then gather only while the executors are busy. 0 to 10000000 (10 s).
  std::int64_t max_queue_delay_us = 0;

  // A request that would take the queue beyond any of these five is refused at once. Texts that
  // wait for the tokenizer count too, their tokens and scores from the moment they are known.
  std::int64_t max_queue_requests = 1024;
  std::int64_t max_queue_rows = 8192;
  std::int64_t max_queue_tokens = 262144;
  std::int64_t max_queue_bytes = std::int64_t{256} << 20;  // of input tensors, as they arrived
  std::int64_t max_queue_score_bytes = std::int64_t{8} << 30;

  // A request is ordered by its deadline, but by no later time than this after it was queued, so
  // that requests without a deadline, or with a far one, are not left behind. >= 0; 0 is FIFO.
  std::chrono::milliseconds ordering_horizon{1000};
  // How often a request that does not fit may see later ones join a batch before it. >= 0.
  int max_overtakes = 8;

  // A request that brings no deadline, or a later one, has this long after its arrival. 0: none.
  // 0 to 3600000 (1 h).
  std::chrono::milliseconds queue_timeout{0};
  // By the batch times measured so far: refuse at once a request that would be done only after its
  // deadline, close a batch before it makes a member late, and leave out of it what would delay its
  // members more than it spares those who wait. A request that finds an executor idle and nobody
  // waiting is never refused.
  bool prediction = true;

  // Priorities that a request may ask for, 1 the highest. 1 to 16.
  int priority_levels = 3;
  // Of a request that asks for none, or for one that does not exist. 1 to priority_levels.
  int default_priority = 2;
  // After waiting this long a request counts as one priority higher, after twice this long as two:
  // nothing waits for ever. 1 to 3600000 (1 h).
  std::chrono::milliseconds priority_ageing{1000};
  // Clients that are told apart in the queue, where each in turn sends an eighth of a batch. Those
  // who come when so many have requests waiting share one turn. 1 to 65536.
  int max_client_keys = 1024;
  bool operator==(const BatchingOptions&) const = default;
};

// InvalidArgument names the first field out of range, and the range.
absl::Status Validate(const BatchingOptions& options);

}  // namespace reprise::server::batching
