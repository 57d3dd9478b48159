#include "engine/weights/safetensors_file.h"

#include <utility>

#include "engine/check.h"

namespace reprise::engine::weights {

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  REPRISE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  REPRISE_ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(file.bytes(), path));
  return SafetensorsFile(path, std::move(file), std::move(header));
}

}  // namespace reprise::engine::weights
