// Fills the source table, checks it, and derives from it what the engine asks while running.
#include "engine/reuse/reuse_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::engine::reuse {
namespace {

absl::Status CheckSize(std::int64_t num_layers, std::int64_t num_heads) {
  if (num_layers < 1 || num_layers > kMaxLayers) {
    return absl::InvalidArgumentError(absl::StrCat("the reuse plan has ", num_layers,
                                                   " layers; expected 1 to ", kMaxLayers,
                                                   ": correct the model's number of layers"));
  }
  if (num_heads < 1 || num_heads > kMaxHeads) {
    return absl::InvalidArgumentError(absl::StrCat("the reuse plan has ", num_heads,
                                                   " heads per layer; expected 1 to ", kMaxHeads,
                                                   ": correct the model's number of heads"));
  }
  return absl::OkStatus();
}

absl::Status CheckReuseLayers(const char* variant, int found, int lowest, int highest,
                              int num_layers) {
  if (found >= lowest && found <= highest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(variant, " reuse in ", found, " layers; expected ", lowest, " to ", highest,
                   " for a model of ", num_layers, " layers: change the number of reuse layers"));
}

SourceTable SelfTable(int num_layers, int num_heads) {
  SourceTable source(num_layers, std::vector<HeadRef>(num_heads));
  for (int layer = 0; layer < num_layers; ++layer) {
    for (int head = 0; head < num_heads; ++head) source[layer][head] = {layer, head};
  }
  return source;
}

// Every head of `layer` takes the scores of the same head of `source_layer`.
void ReuseWholeLayer(SourceTable& source, int layer, int source_layer) {
  for (HeadRef& entry : source[layer]) entry.layer = source_layer;
}

absl::Status EntryError(HeadRef reader, HeadRef source, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "source[", reader.layer, "][", reader.head, "] is [", source.layer, ", ", source.head, "], ",
      what, "; expected [", reader.layer, ", ", reader.head,
      "] itself or a head of an earlier layer that has attention: correct this entry"));
}

absl::Status CheckEntry(HeadRef reader, HeadRef source, const std::vector<bool>& has_attention,
                        int num_heads) {
  const int num_layers = static_cast<int>(has_attention.size());
  if (source.layer < 0 || source.layer >= num_layers || source.head < 0 ||
      source.head >= num_heads) {
    return EntryError(reader, source,
                      absl::StrCat("which a model of ", num_layers, " layers with ", num_heads,
                                   " heads does not have"));
  }
  if (source == reader) return absl::OkStatus();
  if (source.layer == reader.layer) {
    return EntryError(reader, source, "another head of the same layer");
  }
  if (source.layer > reader.layer) return EntryError(reader, source, "a head of a later layer");
  if (!has_attention[source.layer]) {
    return EntryError(reader, source, "a head of a layer without attention");
  }
  return absl::OkStatus();
}

absl::Status CheckRow(const SourceTable& source, const std::vector<bool>& has_attention, int layer,
                      int num_heads) {
  if (source[layer].size() != static_cast<std::size_t>(num_heads)) {
    return absl::InvalidArgumentError(absl::StrCat("source[", layer, "] has ", source[layer].size(),
                                                   " entries; expected ", num_heads,
                                                   ", one per head: make all rows equally long"));
  }
  for (int head = 0; head < num_heads; ++head) {
    REPRISE_RETURN_IF_ERROR(
        CheckEntry({layer, head}, source[layer][head], has_attention, num_heads));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ReusePlan> ReusePlan::Exact(int num_layers, int num_heads) {
  REPRISE_RETURN_IF_ERROR(CheckSize(num_layers, num_heads));
  return Build(SelfTable(num_layers, num_heads), std::vector<bool>(num_layers, true),
               {Recipe::Kind::kExact});
}

absl::StatusOr<ReusePlan> ReusePlan::Proposed(int num_layers, int num_heads, int reused_heads,
                                              int reuse_layers) {
  REPRISE_RETURN_IF_ERROR(CheckSize(num_layers, num_heads));
  if (reused_heads < 0 || reused_heads > num_heads) {
    return absl::InvalidArgumentError(
        absl::StrCat("reuse of ", reused_heads, " heads per layer; expected 0 to ", num_heads,
                     " for a model of ", num_heads, " heads: change the number of reused heads"));
  }
  REPRISE_RETURN_IF_ERROR(
      CheckReuseLayers("proposed", reuse_layers, 0, num_layers - 1, num_layers));
  // Written as Algorithm 1 passes the stack on; Build resolves the chains.
  SourceTable source = SelfTable(num_layers, num_heads);
  const int new_heads = num_heads - reused_heads;
  for (int layer = 1; layer <= reuse_layers; ++layer) {
    for (int head = new_heads; head < num_heads; ++head) {
      source[layer][head] = {layer - 1, head - new_heads};
    }
  }
  return Build(std::move(source), std::vector<bool>(num_layers, true),
               {Recipe::Kind::kProposed, reused_heads, reuse_layers});
}

absl::StatusOr<ReusePlan> ReusePlan::Alternate(int num_layers, int num_heads, int reuse_layers) {
  REPRISE_RETURN_IF_ERROR(CheckSize(num_layers, num_heads));
  REPRISE_RETURN_IF_ERROR(
      CheckReuseLayers("alternate", reuse_layers, 0, num_layers / 2, num_layers));
  SourceTable source = SelfTable(num_layers, num_heads);
  for (int pair = 0; pair < reuse_layers; ++pair) {
    ReuseWholeLayer(source, 2 * pair + 1, 2 * pair);
  }
  return Build(std::move(source), std::vector<bool>(num_layers, true),
               {Recipe::Kind::kAlternate, 0, reuse_layers});
}

absl::StatusOr<ReusePlan> ReusePlan::AllEnd(int num_layers, int num_heads, int reuse_layers) {
  REPRISE_RETURN_IF_ERROR(CheckSize(num_layers, num_heads));
  if (num_layers < 3) {
    return absl::InvalidArgumentError(absl::StrCat("all_end reuse in a model of ", num_layers,
                                                   " layers; expected at least 3 layers: choose "
                                                   "another variant"));
  }
  REPRISE_RETURN_IF_ERROR(CheckReuseLayers("all_end", reuse_layers, 1, num_layers - 2, num_layers));
  SourceTable source = SelfTable(num_layers, num_heads);
  const int source_layer = num_layers - 2 - reuse_layers;
  for (int layer = source_layer + 1; layer <= num_layers - 2; ++layer) {
    ReuseWholeLayer(source, layer, source_layer);
  }
  return Build(std::move(source), std::vector<bool>(num_layers, true),
               {Recipe::Kind::kAllEnd, 0, reuse_layers});
}

absl::StatusOr<ReusePlan> ReusePlan::Skip(int num_layers, int num_heads, int reuse_layers) {
  REPRISE_RETURN_IF_ERROR(CheckSize(num_layers, num_heads));
  REPRISE_RETURN_IF_ERROR(CheckReuseLayers("skip", reuse_layers, 0, num_layers - 1, num_layers));
  std::vector<bool> has_attention(num_layers, true);
  std::fill_n(has_attention.begin() + 1, reuse_layers, false);
  return Build(SelfTable(num_layers, num_heads), std::move(has_attention),
               {Recipe::Kind::kSkip, 0, reuse_layers});
}

absl::StatusOr<ReusePlan> ReusePlan::FromTable(SourceTable source,
                                               std::vector<bool> has_attention) {
  return Build(std::move(source), std::move(has_attention), {Recipe::Kind::kTable});
}

absl::StatusOr<ReusePlan> ReusePlan::Build(SourceTable source, std::vector<bool> has_attention,
                                           Recipe recipe) {
  if (has_attention.size() != source.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has_attention has ", has_attention.size(), " entries; expected ",
                     source.size(), ", one per row of source: make both equally long"));
  }
  const auto first = std::find(has_attention.begin(), has_attention.end(), true);
  if (!source.empty() && first == has_attention.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has_attention is false for all ", source.size(),
        " layers; expected at least one layer with attention: set has_attention of one to true"));
  }
  const std::int64_t num_layers = static_cast<std::int64_t>(source.size());
  const std::int64_t num_heads =
      source.empty() ? 0 : static_cast<std::int64_t>(source[first - has_attention.begin()].size());
  REPRISE_RETURN_IF_ERROR(CheckSize(num_layers, num_heads));

  ReusePlan plan;
  plan.num_heads_ = static_cast<int>(num_heads);
  for (int layer = 0; layer < num_layers; ++layer) {
    if (!has_attention[layer]) continue;
    REPRISE_RETURN_IF_ERROR(CheckRow(source, has_attention, layer, plan.num_heads_));
  }
  plan.source_ = std::move(source);
  plan.has_attention_ = std::move(has_attention);
  plan.ResolveChains();
  plan.FindComputedHeads();
  plan.FindLastReaders();
  plan.AssignSlots();
  plan.FormGroups();
  const bool exact =
      plan.num_reused_heads() == 0 &&
      std::all_of(plan.has_attention_.begin(), plan.has_attention_.end(), [](bool b) { return b; });
  plan.recipe_ = exact ? Recipe{Recipe::Kind::kExact} : recipe;
  plan.name_ = NameOf(plan.recipe_);
  return plan;
}

std::string ReusePlan::NameOf(const Recipe& recipe) {
  switch (recipe.kind) {
    case Recipe::Kind::kExact:
      return "exact";
    case Recipe::Kind::kProposed:
      return absl::StrCat(recipe.reused_heads, "x", recipe.reuse_layers);
    case Recipe::Kind::kAlternate:
      return absl::StrCat("alternate-", recipe.reuse_layers);
    case Recipe::Kind::kAllEnd:
      return absl::StrCat("all_end-", recipe.reuse_layers);
    case Recipe::Kind::kSkip:
      return absl::StrCat("skip-", recipe.reuse_layers);
    case Recipe::Kind::kTable:
      break;
  }
  return "table";
}

// Sources lie in earlier layers, so in layer order each entry's source is already resolved. Rows
// of layers without attention become their own sources: equal plans then have equal tables.
void ReusePlan::ResolveChains() {
  for (int layer = 0; layer < num_layers(); ++layer) {
    if (!has_attention_[layer]) source_[layer].assign(num_heads_, HeadRef{});
    for (int head = 0; head < num_heads_; ++head) {
      HeadRef& entry = source_[layer][head];
      entry = has_attention_[layer] ? source_[entry.layer][entry.head] : HeadRef{layer, head};
    }
  }
}

void ReusePlan::FindComputedHeads() {
  computed_heads_.resize(num_layers());
  for (int layer = 0; layer < num_layers(); ++layer) {
    for (int head = 0; head < num_heads_; ++head) {
      if (is_computed(layer, head)) computed_heads_[layer].push_back(head);
    }
  }
}

void ReusePlan::FindLastReaders() {
  last_reader_.assign(num_layers(), std::vector<int>(num_heads_, -1));
  for (int layer = 0; layer < num_layers(); ++layer) {
    if (!has_attention_[layer]) continue;
    for (const HeadRef& source : source_[layer]) last_reader_[source.layer][source.head] = layer;
  }
}

// Register allocation by linear scan. The lifetime of a matrix is the closed range from its layer
// to its last reader; taking the lowest free slot at each layer needs no more slots than are alive
// at once, which is the least possible.
void ReusePlan::AssignSlots() {
  score_slot_.assign(num_layers(), std::vector<int>(num_heads_, -1));
  std::vector<int> busy_until;                // [slot] last layer that reads what the slot holds
  std::vector<int> expires(num_layers(), 0);  // [layer] matrices whose last reader is the layer
  int alive = 0;
  for (int layer = 0; layer < num_layers(); ++layer) {
    std::size_t slot = 0;
    for (int head : computed_heads_[layer]) {
      const int last = last_reader_[layer][head];
      ++alive;
      ++expires[last];
      if (last == layer) continue;
      while (slot < busy_until.size() && busy_until[slot] >= layer) ++slot;
      if (slot == busy_until.size()) busy_until.push_back(last);
      busy_until[slot] = last;
      score_slot_[layer][head] = static_cast<int>(slot);
    }
    peak_live_matrices_ = std::max(peak_live_matrices_, alive);
    alive -= expires[layer];
  }
  num_score_slots_ = static_cast<int>(busy_until.size());
}

// A range ends where no scores are still to be read. A layer without attention within a range
// stays in it, since its neighbours need its output.
void ReusePlan::FormGroups() {
  int first = 0;
  int reach = 0;
  for (int layer = 0; layer < num_layers(); ++layer) {
    for (int head : computed_heads_[layer]) reach = std::max(reach, last_reader_[layer][head]);
    if (reach > layer) continue;
    groups_.push_back({first, layer});
    first = reach = layer + 1;
  }
}

int ReusePlan::num_reused_heads() const {
  int reused = 0;
  for (int layer = 0; layer < num_layers(); ++layer) {
    if (has_attention_[layer]) {
      reused += num_heads_ - static_cast<int>(computed_heads_[layer].size());
    }
  }
  return reused;
}

}  // namespace reprise::engine::reuse
