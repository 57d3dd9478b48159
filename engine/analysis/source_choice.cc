#include "engine/analysis/source_choice.h"

#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::engine::analysis {
namespace {

constexpr int kComputed = -1;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

class Chooser {
 public:
  Chooser(int layers, int heads, const std::function<double(int, int)>& cost)
      : heads_(heads), source_(static_cast<std::size_t>(layers) * heads, kComputed), cost_(cost) {}

  // Lets the head reuse whose change costs least.
  void Change() {
    int best = -1;
    double least = kInfinite;
    for (int head = heads_; head < static_cast<int>(source_.size()); ++head) {
      if (source_[head] != kComputed) continue;
      const double increase = Increase(head);
      if (increase < least) {
        least = increase;
        best = head;
      }
    }
    REPRISE_CHECK(best >= 0);  // the first layer is always computed, so there is a source
    source_[best] = Cheapest(best, kComputed);
    for (int reader = 0; reader < static_cast<int>(source_.size()); ++reader) {
      if (source_[reader] == best) source_[reader] = Cheapest(reader, best);
    }
  }

  reuse::SourceTable table() const {
    reuse::SourceTable table(source_.size() / heads_);
    for (int head = 0; head < static_cast<int>(source_.size()); ++head) {
      const int from = source_[head] == kComputed ? head : source_[head];
      table[head / heads_].push_back({from / heads_, from % heads_});
    }
    return table;
  }

 private:
  // The computed head of an earlier layer, other than `without`, that costs `target` least.
  int Cheapest(int target, int without) const {
    int best = -1;
    double least = kInfinite;
    for (int source = 0; source < target / heads_ * heads_; ++source) {
      if (source_[source] != kComputed || source == without) continue;
      const double cost = cost_(target, source);
      if (best == -1 || cost < least) {
        least = cost;
        best = source;
      }
    }
    return best;
  }

  double Increase(int head) const {
    double increase = cost_(head, Cheapest(head, kComputed));
    for (int reader = 0; reader < static_cast<int>(source_.size()); ++reader) {
      if (source_[reader] != head) continue;
      increase += cost_(reader, Cheapest(reader, head)) - cost_(reader, head);
    }
    return increase;
  }

  const int heads_;
  std::vector<int> source_;  // of each head; kComputed: its own
  const std::function<double(int, int)>& cost_;
};

}  // namespace

absl::StatusOr<reuse::ReusePlan> ChooseSources(
    int layers, int heads, int reused, const std::function<double(int target, int source)>& cost) {
  const int most = (layers - 1) * heads;
  if (reused < 0 || reused > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(reused, " heads are to reuse scores; expected 0 to ", most, " of a model of ",
                     layers, " layers with ", heads, " heads, whose first layer computes its own"));
  }
  Chooser chooser(layers, heads, cost);
  for (int i = 0; i < reused; ++i) chooser.Change();
  return reuse::ReusePlan::FromTable(chooser.table(), std::vector<bool>(layers, true));
}

}  // namespace reprise::engine::analysis
