// Owners of a stream, an event and a captured graph.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::engine::cuda {

// What CUDA gives as a pointer and takes back by kDestroy.
template <typename Pointer, cudaError_t (*kDestroy)(Pointer)>
struct Destroy {
  void operator()(Pointer pointer) const { static_cast<void>(kDestroy(pointer)); }
};
template <typename Pointer, cudaError_t (*kDestroy)(Pointer)>
using Handle = std::unique_ptr<std::remove_pointer_t<Pointer>, Destroy<Pointer, kDestroy>>;

// An in-order queue of work on the calling thread's device. Move-only.
class Stream {
 public:
  static absl::StatusOr<Stream> Create();

  cudaStream_t get() const { return stream_.get(); }
  // Copies `bytes` in the direction that the pointers say. The host's side must be pinned and stay
  // untouched until Wait.
  absl::Status Copy(void* to, const void* from, std::int64_t bytes) const;
  absl::Status Wait() const;  // until all work so far is done; its errors

 private:
  Handle<cudaStream_t, cudaStreamDestroy> stream_;
};

// A point in a stream's work, with its time.
class Event {
 public:
  static absl::StatusOr<Event> Create();

  absl::Status Record(const Stream& stream) const;
  // Requires: both were recorded and are over.
  absl::StatusOr<double> NanosecondsSince(const Event& earlier) const;

 private:
  Handle<cudaEvent_t, cudaEventDestroy> event_;
};

// Work that was put into a stream once and can be started again as a whole, with the same
// arguments.
class Graph {
 public:
  // Captures what `enqueue` puts into the stream, which is not run.
  template <typename Enqueue>
  static absl::StatusOr<Graph> Capture(const Stream& stream, const Enqueue& enqueue) {
    if (absl::Status begun = Begin(stream); !begun.ok()) return begun;
    const absl::Status enqueued = enqueue();
    absl::StatusOr<Graph> graph =
        End(stream);  // also after an error: the stream must leave capture
    if (!enqueued.ok()) return enqueued;
    return graph;
  }

  absl::Status Launch(const Stream& stream) const;

 private:
  static absl::Status Begin(const Stream& stream);
  static absl::StatusOr<Graph> End(const Stream& stream);

  Handle<cudaGraphExec_t, cudaGraphExecDestroy> executable_;
};

}  // namespace reprise::engine::cuda
