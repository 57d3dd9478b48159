#include <algorithm>

#include "engine/ops/embedding.h"

namespace reprise::engine::ops {

void SumEmbeddings(device::ThreadTeam& team, const RaggedBatch& batch,
                   const EmbeddingTables& tables, MatrixView<float> hidden) {
  team.ParallelFor(batch.batch_size(), [&](std::int64_t sequence, int) {
    const std::int64_t begin = batch.cu_seqlens[sequence];
    for (std::int64_t t = begin; t < batch.cu_seqlens[sequence + 1]; ++t) {
      const std::int64_t position = batch.position_ids.empty() ? t - begin : batch.position_ids[t];
      const std::int64_t type = batch.token_type_ids.empty() ? 0 : batch.token_type_ids[t];
      const float* token_row = tables.token + batch.input_ids[t] * hidden.columns;
      const float* position_row = tables.position + position * hidden.columns;
      float* out = hidden.row(t);
      const float* type_row = tables.type + type * hidden.columns;
      for (std::int64_t c = 0; c < hidden.columns; ++c) {
        out[c] = token_row[c] + position_row[c] + type_row[c];
      }
    }
  });
}

}  // namespace reprise::engine::ops
