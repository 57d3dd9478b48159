// Safetensors files written by hand, so that tests can lie in any field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace reprise::testing {

// `announced` bytes of header, whatever its real length.
inline std::string SafetensorsBytes(const std::string& header, const std::string& data,
                                    std::uint64_t announced) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &announced, 8);
  return bytes + header + data;
}

inline std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  return SafetensorsBytes(header, data, header.size());
}

inline std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Three F32 values 1, -2, 0.5.
inline std::string ThreeFloats() {
  const float values[] = {1.0f, -2.0f, 0.5f};
  return {reinterpret_cast<const char*>(values), sizeof(values)};
}

}  // namespace reprise::testing
