#include <cstdint>
#include <span>

#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"
#include "server/repository/golden_file.h"
#include "tests/fuzz/fuzz_targets.h"

namespace reprise::fuzz {
namespace {

using server::repository::GoldenFile;

void CheckPromises(const GoldenFile& golden) {
  REPRISE_CHECK(golden.tolerance.max_abs.has_value() || golden.tolerance.min_cosine.has_value());
  REPRISE_CHECK(!golden.samples.empty());
  for (const auto& sample : golden.samples) {
    REPRISE_CHECK(sample.text.has_value() == sample.input_ids.empty());
    REPRISE_CHECK(sample.token_type_ids.empty() ||
                  sample.token_type_ids.size() == sample.input_ids.size());
    REPRISE_CHECK(!sample.outputs.empty());
  }
}

}  // namespace

void FuzzGolden(std::span<const std::uint8_t> input) {
  const auto json = engine::weights::ParseJson(
      {reinterpret_cast<const char*>(input.data()), input.size()}, "golden.json");
  if (!json.ok()) return;
  const auto golden = server::repository::ParseGolden(*json);
  if (!golden.ok()) {
    REPRISE_CHECK(golden.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  CheckPromises(*golden);
  const nlohmann::json written = ToJson(*golden);
  const auto again = server::repository::ParseGolden(written);
  REPRISE_CHECK(again.ok() && ToJson(*again) == written);
}

}  // namespace reprise::fuzz
