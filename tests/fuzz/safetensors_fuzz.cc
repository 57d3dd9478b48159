#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/check.h"
#include "engine/weights/element_codec.h"
#include "engine/weights/safetensors_header.h"
#include "engine/weights/tensor_spec.h"
#include "tests/fuzz/fuzz_targets.h"

namespace reprise::fuzz {

using engine::weights::SafetensorsHeader;
using engine::weights::StoredTensor;

void FuzzSafetensors(std::span<const std::uint8_t> input) {
  const std::span<const std::byte> file = std::as_bytes(input);
  const absl::StatusOr<SafetensorsHeader> header =
      engine::weights::ParseSafetensorsHeader(file, "input");
  if (!header.ok()) {
    REPRISE_CHECK(header.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  std::uint64_t covered = header->data_begin;
  for (const auto& [name, tensor] : header->tensors) {
    REPRISE_CHECK(tensor.begin <= tensor.end);
    REPRISE_CHECK(tensor.end <= file.size() - header->data_begin);
    covered += tensor.end - tensor.begin;
    const auto dtype = engine::weights::ParseDType(tensor.dtype);
    if (!dtype.has_value()) continue;
    std::vector<float> values(
        static_cast<std::size_t>(engine::weights::ElementCount(tensor.shape)));
    engine::weights::DecodeElements(
        *dtype, file.subspan(header->data_begin + tensor.begin, tensor.end - tensor.begin), values);
  }
  REPRISE_CHECK(covered == file.size());
}

}  // namespace reprise::fuzz
