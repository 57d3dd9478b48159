#include "server/commands/plan_name.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace reprise::server::commands {
namespace {

using engine::reuse::ReusePlan;

std::optional<int> ParseCount(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

absl::Status UnknownPlan(const std::string& name) {
  return absl::InvalidArgumentError(
      absl::StrCat("the plan is '", name,
                   "', expected exact, KxP (K heads reused in P layers, such as 12x6), "
                   "alternate-P, all_end-P or skip-P"));
}

}  // namespace

absl::StatusOr<ReusePlan> PlanByName(const std::string& name, int num_layers, int num_heads) {
  if (name == "exact") return ReusePlan::Exact(num_layers, num_heads);
  const std::string_view text = name;
  if (const std::size_t dash = text.rfind('-'); dash != std::string_view::npos) {
    const std::string_view variant = text.substr(0, dash);
    const std::optional<int> layers = ParseCount(text.substr(dash + 1));
    if (!layers.has_value()) return UnknownPlan(name);
    if (variant == "alternate") return ReusePlan::Alternate(num_layers, num_heads, *layers);
    if (variant == "all_end") return ReusePlan::AllEnd(num_layers, num_heads, *layers);
    if (variant == "skip") return ReusePlan::Skip(num_layers, num_heads, *layers);
    return UnknownPlan(name);
  }
  const std::size_t cross = text.find('x');
  if (cross == std::string_view::npos) return UnknownPlan(name);
  const std::optional<int> heads = ParseCount(text.substr(0, cross));
  const std::optional<int> layers = ParseCount(text.substr(cross + 1));
  if (!heads.has_value() || !layers.has_value()) return UnknownPlan(name);
  return ReusePlan::Proposed(num_layers, num_heads, *heads, *layers);
}

}  // namespace reprise::server::commands
