// Arithmetic of a model's matrix products.
#pragma once

#include <string_view>

#include "engine/device_id.h"
#include "engine/tensor/dtype.h"

namespace reprise::engine {

// kAuto: bf16 on a GPU and where the CPU multiplies bf16 in hardware, else fp32.
enum class Precision { kAuto, kF32, kBF16 };

// What kAuto means on this machine's device; fp32 and bf16 stay what they are.
Precision ResolvePrecision(Precision requested, DeviceId device = {});

std::string_view Name(Precision precision);  // "auto", "fp32" or "bf16", as flags spell it
DType ElementType(Precision resolved);       // of matrices and activations; Requires: not kAuto

}  // namespace reprise::engine
