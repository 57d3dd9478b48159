// The table of contents of a safetensors file: which tensor lies where, every field checked.
//
// Layout of a file: 8 bytes with the length n of the header (little-endian), n bytes of JSON, then
// the tensors' bytes without gaps. The JSON object maps each tensor's name to {"dtype", "shape",
// "data_offsets"}; its optional key "__metadata__" maps strings to strings.
// https://huggingface.co/docs/safetensors
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace reprise::engine::weights {

struct StoredTensor {
  std::string dtype;  // as written; ParseDType tells whether its elements can be read
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // bytes [begin, end) of the data section
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::uint64_t data_begin = 0;  // where the data section starts in the file
};

// Parses the start of `file`, which holds the whole file; `path` names it in messages.
// InvalidArgument, with what was found and expected, if the file is shorter than it says, the
// header is not what the format asks for, a shape does not fit its bytes, or tensors overlap, leave
// gaps or end elsewhere than the file. Element types that are not known are kept as they are
// written; their number of bytes is taken on trust.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> file,
                                                         const std::string& path);

}  // namespace reprise::engine::weights
