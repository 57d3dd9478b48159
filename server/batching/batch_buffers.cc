#include "server/batching/batch_buffers.h"

namespace reprise::server::batching {
namespace {

void AppendTo(const std::vector<std::int32_t>& from, std::vector<std::int32_t>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

}  // namespace

BatchBuffers::BatchBuffers(std::int64_t max_rows, std::int64_t max_tokens) {
  cu_seqlens_.reserve(max_rows + 1);
  input_ids_.reserve(max_tokens);
  token_type_ids_.reserve(max_tokens);
  position_ids_.reserve(max_tokens);
  Clear();
}

void BatchBuffers::Clear() {
  cu_seqlens_.assign(1, 0);
  input_ids_.clear();
  token_type_ids_.clear();
  position_ids_.clear();
}

void BatchBuffers::Append(const pipeline::PackedRows& rows) {
  const std::int32_t first_token = cu_seqlens_.back();
  for (std::int64_t row = 1; row <= rows.rows(); ++row) {
    cu_seqlens_.push_back(first_token + rows.cu_seqlens[row]);
  }
  AppendTo(rows.input_ids, &input_ids_);
  AppendTo(rows.token_type_ids, &token_type_ids_);
  AppendTo(rows.position_ids, &position_ids_);
}

engine::RaggedBatch BatchBuffers::View() const {
  return {cu_seqlens_, input_ids_, token_type_ids_, position_ids_};
}

}  // namespace reprise::server::batching
