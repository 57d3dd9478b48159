#include "engine/cuda/stream.h"

#include "engine/check.h"
#include "engine/cuda/status.h"

namespace reprise::engine::cuda {

absl::StatusOr<Stream> Stream::Create() {
  cudaStream_t created = nullptr;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking),
                               "creating a stream");
  Stream stream;
  stream.stream_.reset(created);
  return stream;
}

absl::Status Stream::Copy(void* to, const void* from, std::int64_t bytes) const {
  if (bytes == 0) return absl::OkStatus();
  return ToStatus(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault, get()),
      "copying to or from the device");
}

absl::Status Stream::Wait() const {
  return ToStatus(cudaStreamSynchronize(get()), "running on the device");
}

absl::StatusOr<Event> Event::Create() {
  cudaEvent_t created = nullptr;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaEventCreate(&created), "creating an event");
  Event event;
  event.event_.reset(created);
  return event;
}

absl::Status Event::Record(const Stream& stream) const {
  return ToStatus(cudaEventRecord(event_.get(), stream.get()), "recording an event");
}

absl::StatusOr<double> Event::NanosecondsSince(const Event& earlier) const {
  float milliseconds = 0;
  REPRISE_CUDA_RETURN_IF_ERROR(
      cudaEventElapsedTime(&milliseconds, earlier.event_.get(), event_.get()),
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
  cudaGraphExec_t executable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&executable, captured, 0);
  static_cast<void>(cudaGraphDestroy(captured));
  REPRISE_CUDA_RETURN_IF_ERROR(error, "preparing a graph");
  Graph graph;
  graph.executable_.reset(executable);
  return graph;
}

absl::Status Graph::Launch(const Stream& stream) const {
  return ToStatus(cudaGraphLaunch(executable_.get(), stream.get()), "starting a graph");
}

}  // namespace reprise::engine::cuda
