// The oneDNN engine of the process and the oneDNN stream of each thread.
#pragma once

#include "dnnl.hpp"

namespace reprise::engine::device {

const dnnl::engine& OneDnnEngine();

// Created by the thread's first ExecutionScope, so that running a batch never does.
const dnnl::stream& OneDnnThreadStream();

}  // namespace reprise::engine::device
