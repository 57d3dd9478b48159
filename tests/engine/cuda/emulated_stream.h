// A stream of the emulated runtime: does work at once, or adds it to the graph that is captured.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

// Null stands for the default stream, which is never captured.
void RunOnEmulatedStream(cudaStream_t stream, std::function<void()> work);
