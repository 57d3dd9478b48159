#include "engine/analysis/plan_grid.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"

namespace reprise::engine::analysis {
namespace {

using reuse::HeadRef;
using reuse::ReusePlan;

std::string PadLeft(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string PadRight(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(width, text.size()), ' ');
}

std::string Plural(int count, const char* noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

std::string Cell(const ReusePlan& plan, int layer, int head) {
  if (!plan.has_attention(layer)) return "-";
  if (plan.is_computed(layer, head)) return "*";
  const HeadRef source = plan.source(layer, head);
  return absl::StrCat(source.layer + 1, ".", source.head + 1);
}

// Ascending numbers as ranges: "1-6,9".
std::string Ranges(std::vector<int> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::string text;
  for (std::size_t first = 0; first < numbers.size();) {
    std::size_t last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    absl::StrAppend(&text, text.empty() ? "" : ",", numbers[first]);
    if (last > first) absl::StrAppend(&text, "-", numbers[last]);
    first = last + 1;
  }
  return text;
}

std::string SlotsOf(const ReusePlan& plan, int layer) {
  std::vector<int> slots;
  for (int head : plan.computed_heads(layer)) {
    if (plan.score_slot(layer, head) >= 0) slots.push_back(plan.score_slot(layer, head) + 1);
  }
  return Ranges(slots);
}

std::vector<int> GroupOfEachLayer(const ReusePlan& plan) {
  std::vector<int> group_of(plan.num_layers());
  for (std::size_t group = 0; group < plan.groups().size(); ++group) {
    const reuse::LayerRange range = plan.groups()[group];
    for (int layer = range.first; layer <= range.last; ++layer) {
      group_of[layer] = static_cast<int>(group) + 1;
    }
  }
  return group_of;
}

std::string Summary(const ReusePlan& plan) {
  int computed = 0;
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    computed += static_cast<int>(plan.computed_heads(layer).size());
  }
  return absl::StrCat("plan ", plan.name(), ": ", Plural(plan.num_layers(), "layer"), " of ",
                      Plural(plan.num_heads(), "head"), "; ", computed, " compute scores, ",
                      plan.num_reused_heads(), " reuse them; ",
                      Plural(plan.num_score_slots(), "score slot"), ", ",
                      Plural(static_cast<int>(plan.groups().size()), "group"), "\n");
}

constexpr char kLegend[] =
    "  *      computes its own scores\n"
    "  l.h    reuses the scores that head h of layer l computed\n"
    "  -      the layer has no attention\n"
    "  slots  where the score cache keeps the layer's scores until their last reader\n"
    "  group  layers that one sequence passes through before the next sequence starts\n";

}  // namespace

std::string DrawPlanGrid(const ReusePlan& plan) {
  constexpr std::size_t kLayerWidth = 7;
  std::size_t cell_width = absl::StrCat(plan.num_heads()).size();
  std::size_t slots_width = sizeof("slots") - 1;
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    slots_width = std::max(slots_width, SlotsOf(plan, layer).size());
    for (int head = 0; head < plan.num_heads(); ++head) {
      cell_width = std::max(cell_width, Cell(plan, layer, head).size());
    }
  }

  std::string text = absl::StrCat(Summary(plan), "\n", PadRight("  head", kLayerWidth), " |");
  for (int head = 0; head < plan.num_heads(); ++head) {
    absl::StrAppend(&text, " ", PadLeft(absl::StrCat(head + 1), cell_width));
  }
  absl::StrAppend(&text, " | ", PadRight("slots", slots_width), " | group\n");
  absl::StrAppend(&text, "  layer +", std::string((cell_width + 1) * plan.num_heads() + 1, '-'),
                  "+", std::string(slots_width + 2, '-'), "+------\n");
  const std::vector<int> group_of = GroupOfEachLayer(plan);
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    absl::StrAppend(&text, PadLeft(absl::StrCat(layer + 1), kLayerWidth), " |");
    for (int head = 0; head < plan.num_heads(); ++head) {
      absl::StrAppend(&text, " ", PadLeft(Cell(plan, layer, head), cell_width));
    }
    absl::StrAppend(&text, " | ", PadRight(SlotsOf(plan, layer), slots_width), " | ",
                    PadLeft(absl::StrCat(group_of[layer]), sizeof("group") - 1), "\n");
  }
  return absl::StrCat(text, "\n", kLegend);
}

}  // namespace reprise::engine::analysis
