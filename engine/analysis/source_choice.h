// Chooses which heads take whose scores.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::engine::analysis {

// A plan in which `reused` heads take the scores of a computed head of an earlier layer, chosen to
// make the sum of costs small. cost(target, source) >= 0 is what it costs that head `target` takes
// the scores of head `source`; head h of layer l is number l * heads + h.
//
// Greedy: from a plan that computes all heads, again and again the head whose change costs least is
// changed: the cost of its cheapest source, and what it costs to move its own readers to the next
// best. On a 6 x 12 model an exact integer program found tables that were at most 1 % cheaper and
// no better. InvalidArgument when `reused` is negative or more than the heads after the first
// layer.
absl::StatusOr<reuse::ReusePlan> ChooseSources(
    int layers, int heads, int reused, const std::function<double(int target, int source)>& cost);

}  // namespace reprise::engine::analysis
