// Small safetensors files for tests of what reads checkpoints.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/weights/safetensors_writer.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::testing {

struct SmallTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

// Writes `tensors` in one type to `path`.
inline void WriteTensors(const std::string& path, const std::map<std::string, SmallTensor>& tensors,
                         engine::DType dtype = engine::DType::kF32) {
  std::vector<engine::weights::TensorDeclaration> declarations;
  for (const auto& [name, tensor] : tensors) {
    declarations.push_back(engine::weights::Declare({name, tensor.shape}, dtype));
  }
  auto writer = engine::weights::SafetensorsWriter::Create(path, std::move(declarations));
  ASSERT_OK(writer);
  for (const auto& [name, tensor] : tensors) ASSERT_OK((*writer)->Write(name, tensor.values));
  ASSERT_OK((*writer)->Finish());
}

}  // namespace reprise::testing
