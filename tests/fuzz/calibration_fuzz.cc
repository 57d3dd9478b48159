#include <cmath>
#include <cstdint>
#include <span>
#include <string>

#include "engine/check.h"
#include "engine/layers/head_calibration_json.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz_targets.h"

namespace reprise::fuzz {
namespace {

using engine::layers::HeadCalibration;
using engine::layers::ParseCalibration;

void CheckPromises(const HeadCalibration& calibration) {
  const engine::reuse::GroupHeads heads = {.sources = 12, .others = 0, .reused = 72};
  for (const std::int64_t seq_len : {1, 100, 1 << 20}) {
    const engine::reuse::HeadTimes times = engine::reuse::TimesAt(calibration.times, seq_len);
    REPRISE_CHECK(!std::isnan(times.compute) && !std::isnan(times.read));
    const auto strategy = engine::reuse::CheapestStrategy(heads, times, {});
    REPRISE_CHECK(strategy != engine::reuse::Strategy::kNone);
  }
}

}  // namespace

void FuzzCalibration(std::span<const std::uint8_t> input) {
  const auto json = engine::weights::ParseJson(
      {reinterpret_cast<const char*>(input.data()), input.size()}, "calibration.json");
  if (!json.ok()) return;
  const auto calibrations = ParseCalibration(*json, "calibration.json");
  if (!calibrations.ok()) {
    REPRISE_CHECK(calibrations.status().code() == absl::StatusCode::kInvalidArgument ||
                  calibrations.status().code() == absl::StatusCode::kFailedPrecondition);
    return;
  }
  for (const HeadCalibration& calibration : *calibrations) CheckPromises(calibration);
  const std::string written = engine::layers::ToJson(*calibrations).dump();
  const auto again = ParseCalibration(*engine::weights::ParseJson(written, "written"), "written");
  REPRISE_CHECK(again.ok() && engine::layers::ToJson(*again).dump() == written);
}

}  // namespace reprise::fuzz
