#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/check.h"
#include "engine/reuse/reuse_plan.h"
#include "engine/weights/json_file.h"
#include "tests/fuzz/fuzz_targets.h"

namespace reprise::fuzz {
namespace {

using engine::reuse::HeadRef;
using engine::reuse::LayerRange;
using engine::reuse::ReusePlan;

void CheckHead(const ReusePlan& plan, int layer, int head) {
  const HeadRef source = plan.source(layer, head);
  REPRISE_CHECK(0 <= source.layer && source.layer <= layer);
  REPRISE_CHECK(0 <= source.head && source.head < plan.num_heads());
  REPRISE_CHECK(source.layer < layer || source.head == head);
  REPRISE_CHECK(plan.is_computed(source.layer, source.head));
  REPRISE_CHECK(plan.last_reader(source.layer, source.head) >= layer);
  const int slot = plan.score_slot(source.layer, source.head);
  REPRISE_CHECK(slot < plan.num_score_slots());
  REPRISE_CHECK(source.layer == layer || slot >= 0);
  const bool same_group =
      std::ranges::any_of(plan.groups(), [source, layer](const LayerRange& group) {
        return group.first <= source.layer && layer <= group.last;
      });
  REPRISE_CHECK(same_group);
}

}  // namespace

void FuzzReusePlan(std::span<const std::uint8_t> input) {
  if (input.size() < 2) return;
  const int num_layers = input[0] % 33;
  const int num_heads = input[1] % 33;
  const std::span<const std::uint8_t> text = input.subspan(2);
  const auto json = engine::weights::ParseJson(
      std::string_view(reinterpret_cast<const char*>(text.data()), text.size()), "input");
  if (!json.ok()) return;
  const absl::StatusOr<ReusePlan> plan = ReusePlan::FromJson(*json, num_layers, num_heads);
  if (!plan.ok()) {
    REPRISE_CHECK(plan.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  REPRISE_CHECK(plan->num_layers() == num_layers && plan->num_heads() == num_heads);
  for (int layer = 0; layer < num_layers; ++layer) {
    for (int head = 0; plan->has_attention(layer) && head < num_heads; ++head) {
      CheckHead(*plan, layer, head);
    }
  }
  const absl::StatusOr<ReusePlan> again =
      ReusePlan::FromJson(plan->ToJson(), num_layers, num_heads);
  REPRISE_CHECK(again.ok());
  REPRISE_CHECK(*again == *plan);
}

}  // namespace reprise::fuzz
