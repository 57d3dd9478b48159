// Which attention head computes its own scores, and whose scores every other head takes.
//
// A plan is an explicit table source(layer, head) -> (layer, head); a head that is its own source
// is "computed", any other is "reused". The generators below write the layouts of arXiv 2110.06821
// (Algorithm 1 and Table 7) into such a table, and a converted checkpoint brings a free one. The
// table is the only thing the engine executes.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::engine::reuse {

// A head of a layer, both 0-based.
struct HeadRef {
  int layer = 0;
  int head = 0;
  friend auto operator<=>(const HeadRef&, const HeadRef&) = default;
};

using SourceTable = std::vector<std::vector<HeadRef>>;  // [num_layers][num_heads]

// Layers first..last, both included.
struct LayerRange {
  int first = 0;
  int last = 0;
  friend auto operator<=>(const LayerRange&, const LayerRange&) = default;
};

// Larger tables are refused, so that no config makes the engine ask for absurd memory.
inline constexpr int kMaxLayers = 1024;
inline constexpr int kMaxHeads = 1024;

// Immutable value; thread-safe. L = number of layers, H = heads per layer, K = reused heads of a
// reuse layer, P = number of reuse layers. All factories return InvalidArgument unless 1 <= L <=
// kMaxLayers and 1 <= H <= kMaxHeads, with a message that gives what was found and expected.
class ReusePlan {
 public:
  ReusePlan() = default;  // no layers; assign before use
  // Every head computed.
  static absl::StatusOr<ReusePlan> Exact(int num_layers, int num_heads);
  // Algorithm 1: layers 2..P+1 (1-based) compute H-K new heads in slots 1..H-K and take slots 1..K
  // of the stack that the layer before passes on. InvalidArgument unless 0 <= K <= H and 0 <= P <=
  // L-1.
  static absl::StatusOr<ReusePlan> Proposed(int num_layers, int num_heads, int reused_heads,
                                            int reuse_layers);
  // Table 7, all heads reused, 1-based layers. Alternate: 2,4,..,2P from the layer before, P <=
  // L/2.
  static absl::StatusOr<ReusePlan> Alternate(int num_layers, int num_heads, int reuse_layers);
  // AllEnd: L-P..L-1 from layer L-P-1, 1 <= P <= L-2.
  static absl::StatusOr<ReusePlan> AllEnd(int num_layers, int num_heads, int reuse_layers);
  // Skip: layers 2..P+1 have no attention sublayer and no attention LayerNorm, P <= L-1.
  static absl::StatusOr<ReusePlan> Skip(int num_layers, int num_heads, int reuse_layers);
  // Any table. A source must be the head itself, or a head of an earlier layer that has attention;
  // chains are resolved to the computing head. Rows of layers without attention are ignored; at
  // least one layer must have attention. InvalidArgument names the first entry that breaks a rule.
  static absl::StatusOr<ReusePlan> FromTable(SourceTable source, std::vector<bool> has_attention);
  // The value of config.json's key "attention_reuse": exactly one of {heads, layers}, {variant,
  // layers}, {source[, has_attention]}; null is an exact plan. InvalidArgument for anything else,
  // naming the key or entry.
  static absl::StatusOr<ReusePlan> FromJson(const nlohmann::json& attention_reuse, int num_layers,
                                            int num_heads);
  // The value to write under "attention_reuse", which FromJson reads back equal; null for an exact
  // plan. Explicit tables are written resolved.
  nlohmann::json ToJson() const;

  // Every head of every layer is computed.
  bool is_exact() const { return recipe_.kind == Recipe::Kind::kExact; }

  int num_layers() const { return static_cast<int>(source_.size()); }
  int num_heads() const { return num_heads_; }
  // "exact", "12x6" (K x P), "alternate-12", "all_end-6", "skip-6" or "table".
  const std::string& name() const { return name_; }

  bool has_attention(int layer) const { return has_attention_[layer]; }
  // The computing head, never a chain. Requires: has_attention(layer).
  HeadRef source(int layer, int head) const { return source_[layer][head]; }
  bool is_computed(int layer, int head) const {
    return has_attention_[layer] && source_[layer][head] == HeadRef{layer, head};
  }
  // Heads of `layer` with query and key projections, ascending. Their order is that of the rows of
  // query/key weights.
  const std::vector<int>& computed_heads(int layer) const { return computed_heads_[layer]; }
  // Last layer that reads the scores of computed head (layer, head); `layer` itself when no later
  // one does. -1 for a head that computes none.
  int last_reader(int layer, int head) const { return last_reader_[layer][head]; }
  // Slot of the score cache that holds the scores of a computed head from its layer to its last
  // reader, both included: heads of one layer run concurrently, so a slot passes on only between
  // layers. -1 for a head that no later layer reads, whose scores are never written.
  int score_slot(int layer, int head) const { return score_slot_[layer][head]; }
  // Slots needed: the largest number of score matrices alive at once among those that a later layer
  // reads. At most H for Algorithm 1.
  int num_score_slots() const { return num_score_slots_; }
  // The same count with the matrices that only their own layer uses: exactly H for Algorithm 1
  // (papers' closed form).
  int peak_live_matrices() const { return peak_live_matrices_; }
  // Partition of the layers into the smallest consecutive ranges such that every source lies in the
  // range of its readers. A range is run depth first: all its layers for one micro-batch before the
  // next.
  const std::vector<LayerRange>& groups() const { return groups_; }
  // Over all layers; LH - computed heads - heads of layers without attention.
  int num_reused_heads() const;

  friend bool operator==(const ReusePlan& a, const ReusePlan& b) {
    return a.source_ == b.source_ && a.has_attention_ == b.has_attention_;
  }

 private:
  // How the plan was asked for, to say it back as name and JSON.
  struct Recipe {
    enum class Kind { kExact, kProposed, kAlternate, kAllEnd, kSkip, kTable };
    Kind kind = Kind::kTable;
    int reused_heads = 0;  // K of kProposed
    int reuse_layers = 0;  // P of all generators
  };
  static absl::StatusOr<ReusePlan> Build(SourceTable source, std::vector<bool> has_attention,
                                         Recipe recipe);
  static std::string NameOf(const Recipe& recipe);
  // The steps of Build, in this order.
  void ResolveChains();
  void FindComputedHeads();
  void FindLastReaders();
  void AssignSlots();
  void FormGroups();

  int num_heads_ = 0;
  SourceTable source_;
  std::vector<bool> has_attention_;
  Recipe recipe_;
  std::string name_;
  std::vector<std::vector<int>> computed_heads_;
  std::vector<std::vector<int>> last_reader_;
  std::vector<std::vector<int>> score_slot_;
  int num_score_slots_ = 0;
  int peak_live_matrices_ = 0;
  std::vector<LayerRange> groups_;
};

}  // namespace reprise::engine::reuse
