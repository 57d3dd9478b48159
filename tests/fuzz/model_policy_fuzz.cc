#include <cstdint>
#include <span>
#include <string_view>

#include "engine/check.h"
#include "server/repository/model_policy.h"
#include "server/repository/serving_options.h"
#include "tests/fuzz/fuzz_targets.h"

namespace reprise::fuzz {

void FuzzModelPolicy(std::span<const std::uint8_t> input) {
  const auto options = server::repository::ParseModelPolicy(
      {reinterpret_cast<const char*>(input.data()), input.size()}, {});
  if (!options.ok()) {
    REPRISE_CHECK(options.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  REPRISE_CHECK(server::repository::Validate(*options).ok());
}

}  // namespace reprise::fuzz
