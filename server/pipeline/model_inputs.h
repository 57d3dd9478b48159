// Reads the tensors of a request into packed rows, or says what is wrong with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/pipeline/packed_rows.h"
#include "server/pipeline/tokenizer/tokenizer.h"
#include "server/request/tensor.h"

namespace reprise::server::pipeline {

inline constexpr std::string_view kInputIds = "input_ids";
inline constexpr std::string_view kAttentionMask = "attention_mask";
inline constexpr std::string_view kTokenTypeIds = "token_type_ids";
inline constexpr std::string_view kText = "text";

// What a loaded version accepts; fixed at load. All limits are >= 1.
struct InputRules {
  std::string model_name;  // for messages
  std::int64_t vocab_size = 0;
  std::int64_t type_vocab_size = 0;
  std::int64_t max_sequence_tokens = 0;  // columns of input_ids
  std::int64_t max_text_tokens = 0;      // tokens of one text, special tokens included
  std::int64_t max_text_bytes = 0;       // bytes of one text
  std::int64_t max_batch_size = 0;       // rows of one request
  std::int64_t max_batch_tokens = 0;     // real tokens of one request
  bool accepts_text = false;             // a tokenizer is loaded
};

// Borrowed views of a request's tensors after names, datatypes and shapes were checked. Exactly one
// of `input_ids` and `text` is set; the optional two may be null.
struct NamedInputs {
  const Tensor* input_ids = nullptr;       // INT64 [rows, columns]
  const Tensor* attention_mask = nullptr;  // same shape
  const Tensor* token_type_ids = nullptr;  // same shape
  const Tensor* text = nullptr;            // BYTES [rows] or [rows, 1]
  std::int64_t rows = 0;
};

// InvalidArgument names model, tensor, what was found and what was expected. The views point into
// `inputs`.
absl::StatusOr<NamedInputs> NameInputs(std::span<const Tensor> inputs, const InputRules& rules);

// Drops the columns whose mask is 0, any pattern of them. Without a mask every column is real.
// Requires: inputs.input_ids. InvalidArgument for a mask value other than 0 and 1, a row without a
// real token, an id or type out of range, too many tokens.
absl::StatusOr<PackedRows> PackIds(const NamedInputs& inputs, const InputRules& rules);

// One text to ids, cut to at most `max_tokens` when that is not 0. Thread-safe.
using EncodeText =
    std::function<absl::StatusOr<Encoding>(std::string_view text, std::size_t max_tokens)>;
EncodeText EncodeWith(const Tokenizer& tokenizer);  // `tokenizer` must outlive the result

// Appends the tokens of one text as a row of `rows`; `truncate` cuts it to max_text_tokens instead
// of refusing it. InvalidArgument names the row: not UTF-8, too many bytes or tokens.
absl::Status AppendText(std::string_view text, bool truncate, const EncodeText& encode,
                        const InputRules& rules, PackedRows* packed);

// Bytes that the tensors of a request hold.
std::int64_t ByteSize(std::span<const Tensor> tensors);

}  // namespace reprise::server::pipeline
