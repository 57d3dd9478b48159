// A stream of the emulated runtime: does work at once, or adds it to the graph that is captured.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

// What the emulated device does wrong; nothing by default.
struct EmulatedFaults {
  int allocations_left = -1;             // device memory runs out after so many more; -1: never
  cudaError_t of_waiting = cudaSuccess;  // what waiting for a stream gives
};
EmulatedFaults& Faults();

// Null stands for the default stream, which is never captured.
void RunOnEmulatedStream(cudaStream_t stream, std::function<void()> work);
