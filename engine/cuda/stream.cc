#include "engine/cuda/stream.h"

#include "engine/check.h"
#include "engine/cuda/status.h"

namespace reprise::engine::cuda {

absl::StatusOr<Stream> Stream::Create() {
  Stream stream;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaStreamCreateWithFlags(&stream.stream_, cudaStreamNonBlocking),
                               "creating a stream");
  return stream;
}

Stream::~Stream() {
  if (stream_ != nullptr) static_cast<void>(cudaStreamDestroy(stream_));
}

absl::Status Stream::Copy(void* to, const void* from, std::int64_t bytes) const {
  if (bytes == 0) return absl::OkStatus();
  return ToStatus(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault, stream_),
      "copying to or from the device");
}

absl::Status Stream::Wait() const {
  return ToStatus(cudaStreamSynchronize(stream_), "running on the device");
}

absl::StatusOr<Event> Event::Create() {
  Event event;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaEventCreate(&event.event_), "creating an event");
  return event;
}

Event::~Event() {
  if (event_ != nullptr) static_cast<void>(cudaEventDestroy(event_));
}

absl::Status Event::Record(const Stream& stream) const {
  return ToStatus(cudaEventRecord(event_, stream.get()), "recording an event");
}

absl::StatusOr<double> Event::NanosecondsSince(const Event& earlier) const {
  float milliseconds = 0;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaEventElapsedTime(&milliseconds, earlier.event_, event_),
                               "reading the time of an event");
  return milliseconds * 1e6;
}

absl::Status Graph::Begin(const Stream& stream) {
  return ToStatus(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal),
                  "beginning to capture a graph");
}

absl::StatusOr<Graph> Graph::End(const Stream& stream) {
  cudaGraph_t captured = nullptr;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaStreamEndCapture(stream.get(), &captured), "capturing a graph");
  Graph graph;
  const cudaError_t error = cudaGraphInstantiate(&graph.executable_, captured, 0);
  static_cast<void>(cudaGraphDestroy(captured));
  REPRISE_CUDA_RETURN_IF_ERROR(error, "preparing a graph");
  return graph;
}

Graph::~Graph() {
  if (executable_ != nullptr) static_cast<void>(cudaGraphExecDestroy(executable_));
}

absl::Status Graph::Launch(const Stream& stream) const {
  return ToStatus(cudaGraphLaunch(executable_, stream.get()), "starting a graph");
}

}  // namespace reprise::engine::cuda
