#include "engine/device/cpu/execution_scope.h"

#include <omp.h>
#include <xmmintrin.h>

#include "engine/device/cpu/isa.h"
#include "engine/device/cpu/onednn.h"

namespace reprise::engine::device {
namespace {
constexpr unsigned kFlushToZero = 0x8000;
constexpr unsigned kDenormalsAreZero = 0x0040;
}  // namespace

ExecutionScope::ExecutionScope()
    : saved_float_mode_(_mm_getcsr()), saved_openmp_threads_(omp_get_max_threads()) {
  _mm_setcsr(saved_float_mode_ | kFlushToZero | kDenormalsAreZero);
  omp_set_num_threads(1);
  ActiveCpuIsa();  // fixes oneDNN's instruction set before anything of it exists
  OneDnnThreadStream();
}

ExecutionScope::~ExecutionScope() {
  omp_set_num_threads(saved_openmp_threads_);
  _mm_setcsr(saved_float_mode_);
}

}  // namespace reprise::engine::device
