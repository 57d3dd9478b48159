// The state of a thread while it runs kernels: denormals are zero, oneDNN stays on the calling
// thread.
#pragma once

namespace reprise::engine::device {

// Sets the calling thread's state on construction and restores it on destruction. Every thread that
// runs kernels holds one: oneDNN picks its blocking from the OpenMP thread count, so the count must
// be the same (one) where primitives are built and where they run; parallelism is the thread team's
// business.
class ExecutionScope {
 public:
  ExecutionScope();
  ~ExecutionScope();
  ExecutionScope(const ExecutionScope&) = delete;
  ExecutionScope& operator=(const ExecutionScope&) = delete;

 private:
  unsigned saved_float_mode_;
  int saved_openmp_threads_;
};

}  // namespace reprise::engine::device
