// Owners of a stream, an event and a captured graph.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::engine::cuda {

// An in-order queue of work on the calling thread's device. Move-only.
class Stream {
 public:
  static absl::StatusOr<Stream> Create();
  Stream() = default;
  ~Stream();
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  // Copies `bytes` in the direction that the pointers say. The host's side must be pinned and stay
  // untouched until Wait.
  absl::Status Copy(void* to, const void* from, std::int64_t bytes) const;
  absl::Status Wait() const;  // until all work so far is done; its errors

 private:
  cudaStream_t stream_ = nullptr;
};

// A point in a stream's work, with its time.
class Event {
 public:
  static absl::StatusOr<Event> Create();
  Event() = default;
  ~Event();
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  absl::Status Record(const Stream& stream) const;
  // Requires: both were recorded and are over.
  absl::StatusOr<double> NanosecondsSince(const Event& earlier) const;

 private:
  cudaEvent_t event_ = nullptr;
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
  Graph() = default;
  ~Graph();
  Graph(Graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(executable_, other.executable_);
    return *this;
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  absl::Status Launch(const Stream& stream) const;

 private:
  static absl::Status Begin(const Stream& stream);
  static absl::StatusOr<Graph> End(const Stream& stream);

  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace reprise::engine::cuda
