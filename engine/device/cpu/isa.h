// Which instruction set the CPU kernels use, decided once per process.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::engine::device {

// Ordered: each includes the ones before it.
enum class CpuIsa { kSse4, kAvx2, kAvx512, kAvx512Bf16, kAmx };

std::string_view Name(CpuIsa isa);  // "sse4", "avx2", "avx512", "avx512_bf16", "amx"
absl::StatusOr<CpuIsa> ParseCpuIsa(const std::string& name);

// What the processor and the kernel offer. Below SSE4 the process cannot run at all.
CpuIsa DetectCpuIsa();

// Caps the instruction set of our kernels and of oneDNN. FailedPrecondition once ActiveCpuIsa was
// called, because kernels may have been built for more; the environment variable REPRISE_CPU_ISA
// does the same from outside.
absl::Status LimitCpuIsa(CpuIsa limit);

// The lower of what the processor offers and what was allowed; fixes the choice for the life of the
// process.
CpuIsa ActiveCpuIsa();

// "amx, the best this processor offers" or "avx2, limited by REPRISE_CPU_ISA": for the start-up
// log.
std::string DescribeCpuIsa();

}  // namespace reprise::engine::device
