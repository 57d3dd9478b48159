// Sum of the token, position and type embeddings of each token.
#pragma once

#include <cstdint>

#include "engine/device/cpu/thread_team.h"
#include "engine/tensor/matrix_view.h"
#include "engine/tensor/ragged_batch.h"

namespace reprise::engine::ops {

// Tables, fp32 row-major, borrowed.
struct EmbeddingTables {
  const float* token = nullptr;     // [vocab_size, hidden_size]
  const float* position = nullptr;  // [max_position_embeddings, hidden_size]
  const float* type = nullptr;      // [type_vocab_size, hidden_size]
};

// hidden[t, :] = token[input_ids[t]] + position[position_ids[t]] + type[token_type_ids[t]] (Devlin
// et al. 2018, fig. 2, before the LayerNorm)
//   hidden  [total_tokens, hidden_size]
// Requires: ids within the tables.
void SumEmbeddings(device::ThreadTeam& team, const RaggedBatch& batch,
                   const EmbeddingTables& tables, MatrixView<float> hidden);

}  // namespace reprise::engine::ops
