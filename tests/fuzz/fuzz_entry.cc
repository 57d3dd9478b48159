// libFuzzer's entry to one of the functions of fuzz_targets.h, which the build names.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  reprise::fuzz::REPRISE_FUZZ_TARGET({data, size});
  return 0;
}
