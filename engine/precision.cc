#include "engine/precision.h"

#include "engine/check.h"
#include "engine/device/cpu/isa.h"

namespace reprise::engine {

Precision ResolvePrecision(Precision requested, DeviceId device) {
  if (requested != Precision::kAuto) return requested;
  if (device.kind == DeviceId::Kind::kCuda) return Precision::kBF16;
  const bool multiplies_bf16 = device::ActiveCpuIsa() >= device::CpuIsa::kAvx512Bf16;
  return multiplies_bf16 ? Precision::kBF16 : Precision::kF32;
}

std::string_view Name(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
      return "auto";
    case Precision::kF32:
      return "fp32";
    case Precision::kBF16:
      return "bf16";
  }
  return "?";
}

DType ElementType(Precision resolved) {
  REPRISE_CHECK(resolved != Precision::kAuto);
  return resolved == Precision::kBF16 ? DType::kBF16 : DType::kF32;
}

}  // namespace reprise::engine
