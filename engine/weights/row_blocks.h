// Which blocks of a tensor's rows a model keeps: how a reuse plan shows in the shape of weights.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace reprise::engine::weights {

// The rows of the whole tensor are `num_blocks` equal blocks, one per attention head; only those in
// `kept` (ascending) are there. With none kept the tensor is absent.
struct RowBlocks {
  int num_blocks = 1;
  std::vector<int> kept;
};

// By tensor name; a tensor that is not listed is whole.
using RowBlockMap = std::unordered_map<std::string, RowBlocks>;

}  // namespace reprise::engine::weights
