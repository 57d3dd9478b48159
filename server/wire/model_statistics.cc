#include "server/wire/model_statistics.h"

#include <chrono>

namespace reprise::server::wire {
namespace {

void Fill(const CountedTime& time, inference::StatisticDuration* duration) {
  duration->set_count(static_cast<std::uint64_t>(time.count));
  duration->set_ns(static_cast<std::uint64_t>(time.time.count()));
}

void FillRequests(const VersionStatistics& statistics, inference::InferStatistics* message) {
  Fill(statistics.success, message->mutable_success());
  Fill(statistics.fail, message->mutable_fail());
  Fill(statistics.queue, message->mutable_queue());
  Fill(statistics.compute_input, message->mutable_compute_input());
  Fill(statistics.compute_infer, message->mutable_compute_infer());
  Fill(statistics.compute_output, message->mutable_compute_output());
  Fill({}, message->mutable_cache_hit());
  Fill({}, message->mutable_cache_miss());
}

void FillResponses(const VersionStatistics& statistics,
                   inference::InferResponseStatistics* message) {
  Fill(statistics.compute_infer, message->mutable_compute_infer());
  Fill(statistics.compute_output, message->mutable_compute_output());
  Fill(statistics.success, message->mutable_success());
  Fill(statistics.fail, message->mutable_fail());
  Fill({}, message->mutable_empty_response());
  Fill(statistics.cancelled, message->mutable_cancel());
}

}  // namespace

inference::ModelStatistics ToModelStatistics(const VersionStatistics& statistics) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  inference::ModelStatistics message;
  message.set_name(statistics.model);
  message.set_version(statistics.version);
  message.set_last_inference(static_cast<std::uint64_t>(
      duration_cast<milliseconds>(statistics.last_inference.time_since_epoch()).count()));
  message.set_inference_count(static_cast<std::uint64_t>(statistics.inference_count));
  message.set_execution_count(static_cast<std::uint64_t>(statistics.execution_count));
  FillRequests(statistics, message.mutable_inference_stats());
  for (const BatchSizeStatistics& size : statistics.batches) {
    inference::InferBatchStatistics* batch = message.add_batch_stats();
    batch->set_batch_size(static_cast<std::uint64_t>(size.rows));
    Fill(size.input, batch->mutable_compute_input());
    Fill(size.infer, batch->mutable_compute_infer());
    Fill(size.output, batch->mutable_compute_output());
  }
  inference::MemoryUsage* memory = message.add_memory_usage();
  memory->set_type("CPU");
  memory->set_id(0);
  memory->set_byte_size(static_cast<std::uint64_t>(statistics.memory_bytes));
  FillResponses(statistics, &(*message.mutable_response_stats())["0"]);
  return message;
}

}  // namespace reprise::server::wire
