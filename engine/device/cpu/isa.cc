#include "engine/device/cpu/isa.h"

#include <cpuid.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <optional>

#include "absl/strings/str_cat.h"
#include "dnnl.hpp"
#include "hwy/targets.h"

namespace reprise::engine::device {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"sse4", "avx2", "avx512", "avx512_bf16", "amx"};

struct Choice {
  std::mutex mutex;
  std::optional<CpuIsa> limit;
  std::optional<CpuIsa> active;
  std::string reason = "the best this processor offers";
};

Choice& ProcessChoice() {
  static Choice choice;
  return choice;
}

bool CpuHasAmxBf16() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  const bool amx_bf16 = (edx >> 22) & 1u;
  const bool amx_tile = (edx >> 24) & 1u;
  return amx_bf16 && amx_tile;
}

void LimitOneDnn(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kSse4:
      dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);
      break;
    case CpuIsa::kAvx2:
      dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
      break;
    case CpuIsa::kAvx512:
      dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core_vnni);
      break;
    case CpuIsa::kAvx512Bf16:
      dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core_bf16);
      break;
    case CpuIsa::kAmx:
      break;  // no limit
  }
}

void LimitHighway(CpuIsa isa) {
  // Highway's target bits fall as targets get better, so everything below the allowed one is
  // disabled.
  if (isa == CpuIsa::kSse4) hwy::DisableTargets(HWY_SSE4 - 1);
  if (isa == CpuIsa::kAvx2) hwy::DisableTargets(HWY_AVX2 - 1);
}

}  // namespace

std::string_view Name(CpuIsa isa) { return kNames[static_cast<int>(isa)]; }

absl::StatusOr<CpuIsa> ParseCpuIsa(const std::string& name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<CpuIsa>(i);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown instruction set '", name, "'; expected sse4, avx2, avx512, avx512_bf16 or amx"));
}

CpuIsa DetectCpuIsa() {
  // The compiler's run-time checks include what the kernel saves on a context switch.
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CpuIsa::kSse4;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")) {
    return CpuIsa::kAvx2;
  }
  if (!__builtin_cpu_supports("avx512bf16")) return CpuIsa::kAvx512;
  // oneDNN asks the kernel for the permission to use tiles and reports whether it got it.
  const bool tiles_permitted =
      CpuHasAmxBf16() && dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_amx;
  return tiles_permitted ? CpuIsa::kAmx : CpuIsa::kAvx512Bf16;
}

absl::Status LimitCpuIsa(CpuIsa limit) {
  Choice& choice = ProcessChoice();
  const std::lock_guard lock(choice.mutex);
  if (choice.active.has_value()) {
    return absl::FailedPreconditionError(
        "the instruction set is already in use; limit it before any model is loaded");
  }
  choice.limit = limit;
  choice.reason = "limited by --cpu-isa";
  return absl::OkStatus();
}

CpuIsa ActiveCpuIsa() {
  Choice& choice = ProcessChoice();
  const std::lock_guard lock(choice.mutex);
  if (choice.active.has_value()) return *choice.active;
  if (const char* name = std::getenv("REPRISE_CPU_ISA"); name != nullptr && !choice.limit) {
    if (const absl::StatusOr<CpuIsa> parsed = ParseCpuIsa(name); parsed.ok()) {
      choice.limit = *parsed;
      choice.reason = "limited by REPRISE_CPU_ISA";
    }
  }
  // The limit must reach oneDNN before detection asks it anything: the first question freezes it.
  if (choice.limit) LimitOneDnn(*choice.limit);
  const CpuIsa detected = DetectCpuIsa();
  choice.active = std::min(detected, choice.limit.value_or(CpuIsa::kAmx));
  if (choice.limit && *choice.limit > detected) choice.reason = "the best this processor offers";
  LimitHighway(*choice.active);
  return *choice.active;
}

std::string DescribeCpuIsa() {
  const CpuIsa isa = ActiveCpuIsa();
  Choice& choice = ProcessChoice();
  const std::lock_guard lock(choice.mutex);
  return absl::StrCat(std::string(Name(isa)), ", ", choice.reason);
}

}  // namespace reprise::engine::device
