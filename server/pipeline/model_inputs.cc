#include "server/pipeline/model_inputs.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"

namespace reprise::server::pipeline {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

template <typename... Parts>
absl::Status Refused(const InputRules& rules, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("model '", rules.model_name, "': ", parts...));
}

template <typename... Parts>
absl::Status RefusedInput(const InputRules& rules, std::string_view input, const Parts&... parts) {
  return Refused(rules, "input '", View(input), "' ", parts...);
}

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

std::string KnownInputs(const InputRules& rules) {
  return absl::StrCat(View(kInputIds), ", ", View(kAttentionMask), ", ", View(kTokenTypeIds),
                      rules.accepts_text ? ", text" : "");
}

// The member of `named` that `name` belongs to; null for an unknown name.
const Tensor** Find(std::string_view name, const InputRules& rules, NamedInputs* named) {
  if (name == kInputIds) return &named->input_ids;
  if (name == kAttentionMask) return &named->attention_mask;
  if (name == kTokenTypeIds) return &named->token_type_ids;
  if (name == kText && rules.accepts_text) return &named->text;
  return nullptr;
}

absl::Status CheckDatatype(const Tensor& tensor, DataType expected, const InputRules& rules) {
  if (tensor.datatype == expected) return absl::OkStatus();
  return RefusedInput(rules, tensor.name, "has datatype ", View(Name(tensor.datatype)),
                      "; expected ", View(Name(expected)));
}

// The protocols check this too; here it keeps reads inside the tensor whoever made it.
// Requires: a shape within the limits, so that the product cannot overflow.
absl::Status CheckSize(const Tensor& tensor, const InputRules& rules) {
  std::size_t expected = std::max<std::size_t>(SizeOf(tensor.datatype), 1);
  for (const std::int64_t extent : tensor.shape) expected *= static_cast<std::size_t>(extent);
  const bool bytes = tensor.datatype == DataType::kBytes;
  const std::size_t found = bytes ? tensor.elements.size() : tensor.raw.size();
  if (found == expected) return absl::OkStatus();
  return RefusedInput(rules, tensor.name, "of shape ", ShapeText(tensor.shape), " holds ", found,
                      bytes ? " elements" : " bytes", "; expected ", expected);
}

absl::Status CheckRows(const Tensor& tensor, const InputRules& rules) {
  const std::int64_t rows = tensor.shape[0];
  if (rows >= 1 && rows <= rules.max_batch_size) return absl::OkStatus();
  return RefusedInput(rules, tensor.name, "has ", rows, " rows (shape ", ShapeText(tensor.shape),
                      "); expected 1 to ", rules.max_batch_size);
}

absl::Status CheckIdShape(const Tensor& tensor, const InputRules& rules) {
  REPRISE_RETURN_IF_ERROR(CheckDatatype(tensor, DataType::kInt64, rules));
  if (tensor.shape.size() != 2) {
    return RefusedInput(rules, tensor.name, "has shape ", ShapeText(tensor.shape),
                        "; expected [rows, columns]");
  }
  REPRISE_RETURN_IF_ERROR(CheckRows(tensor, rules));
  const std::int64_t columns = tensor.shape[1];
  if (columns < 1 || columns > rules.max_sequence_tokens) {
    return RefusedInput(rules, tensor.name, "has ", columns, " columns (shape ",
                        ShapeText(tensor.shape), "); expected 1 to ", rules.max_sequence_tokens);
  }
  return CheckSize(tensor, rules);
}

absl::Status CheckTextShape(const Tensor& text, const InputRules& rules) {
  REPRISE_RETURN_IF_ERROR(CheckDatatype(text, DataType::kBytes, rules));
  const bool vector = text.shape.size() == 1;
  const bool column = text.shape.size() == 2 && text.shape[1] == 1;
  if (!vector && !column) {
    return RefusedInput(rules, text.name, "has shape ", ShapeText(text.shape),
                        "; expected [rows] or [rows,1]");
  }
  REPRISE_RETURN_IF_ERROR(CheckRows(text, rules));
  REPRISE_RETURN_IF_ERROR(CheckSize(text, rules));
  for (std::size_t row = 0; row < text.elements.size(); ++row) {
    const auto size = static_cast<std::int64_t>(text.elements[row].size());
    if (size > rules.max_text_bytes) {
      return RefusedInput(rules, text.name, "row ", row, " is ", size,
                          " bytes long; expected at most ", rules.max_text_bytes);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSameShape(const Tensor* optional, const Tensor& input_ids,
                            const InputRules& rules) {
  if (optional == nullptr) return absl::OkStatus();
  REPRISE_RETURN_IF_ERROR(CheckDatatype(*optional, DataType::kInt64, rules));
  if (optional->shape == input_ids.shape) return CheckSize(*optional, rules);
  return RefusedInput(rules, optional->name, "has shape ", ShapeText(optional->shape),
                      "; expected ", ShapeText(input_ids.shape), " as input_ids has");
}

// Elements are copied out because protocol buffers promise no alignment.
std::int64_t Int64At(const Tensor& tensor, std::int64_t index) {
  std::int64_t value = 0;
  std::memcpy(&value, tensor.raw.data() + index * static_cast<std::int64_t>(sizeof(value)),
              sizeof(value));
  return value;
}

absl::Status CheckElement(std::string_view input, std::int64_t row, std::int64_t column,
                          std::int64_t value, std::int64_t size, const InputRules& rules) {
  if (value >= 0 && value < size) return absl::OkStatus();
  return RefusedInput(rules, input, "has ", value, " at row ", row, ", column ", column,
                      "; expected 0 to ", size - 1);
}

absl::Status CheckTokens(const PackedRows& packed, const InputRules& rules) {
  const auto tokens = static_cast<std::int64_t>(packed.input_ids.size());
  if (tokens <= rules.max_batch_tokens) return absl::OkStatus();
  return Refused(
      rules, "the request has more than ", rules.max_batch_tokens,
      " tokens, the largest batch (max_batch_tokens); send its rows in several requests");
}

// Ids and types were in range when this is called with them.
void AppendToken(std::int64_t id, std::int64_t type, std::int64_t position, PackedRows* packed) {
  packed->input_ids.push_back(static_cast<std::int32_t>(id));
  packed->token_type_ids.push_back(static_cast<std::int32_t>(type));
  packed->position_ids.push_back(static_cast<std::int32_t>(position));
}

absl::Status PackIdRow(const NamedInputs& inputs, std::int64_t row, const InputRules& rules,
                       PackedRows* packed) {
  const std::int64_t columns = inputs.input_ids->shape[1];
  for (std::int64_t column = 0; column < columns; ++column) {
    const std::int64_t index = row * columns + column;
    if (inputs.attention_mask != nullptr) {
      const std::int64_t mask = Int64At(*inputs.attention_mask, index);
      REPRISE_RETURN_IF_ERROR(CheckElement(kAttentionMask, row, column, mask, 2, rules));
      if (mask == 0) continue;
    }
    const std::int64_t id = Int64At(*inputs.input_ids, index);
    REPRISE_RETURN_IF_ERROR(CheckElement(kInputIds, row, column, id, rules.vocab_size, rules));
    const std::int64_t type =
        inputs.token_type_ids == nullptr ? 0 : Int64At(*inputs.token_type_ids, index);
    REPRISE_RETURN_IF_ERROR(
        CheckElement(kTokenTypeIds, row, column, type, rules.type_vocab_size, rules));
    AppendToken(id, type, column, packed);
  }
  if (static_cast<std::int64_t>(packed->input_ids.size()) == packed->tokens()) {
    return RefusedInput(rules, kAttentionMask, "is 0 in all of row ", row,
                        "; expected at least one real token in each row");
  }
  packed->cu_seqlens.push_back(static_cast<std::int32_t>(packed->input_ids.size()));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NamedInputs> NameInputs(std::span<const Tensor> inputs, const InputRules& rules) {
  NamedInputs named;
  for (const Tensor& tensor : inputs) {
    const Tensor** place = Find(tensor.name, rules, &named);
    if (place == nullptr && tensor.name == kText) {
      return RefusedInput(rules, kText, "needs a tokenizer, and this model has no tokenizer.json; ",
                          "send input_ids");
    }
    if (place == nullptr) {
      return Refused(rules, "unknown input '", tensor.name, "'; expected ", KnownInputs(rules));
    }
    if (*place != nullptr) return RefusedInput(rules, tensor.name, "is given twice");
    *place = &tensor;
  }
  if ((named.input_ids == nullptr) == (named.text == nullptr)) {
    const char* found = named.text == nullptr ? "neither is given" : "both are given";
    if (!rules.accepts_text) return Refused(rules, "input 'input_ids' is missing");
    return Refused(rules, "expected exactly one of the inputs 'input_ids' and 'text'; ", found);
  }
  if (named.text != nullptr) {
    const Tensor* extra =
        named.attention_mask != nullptr ? named.attention_mask : named.token_type_ids;
    if (extra != nullptr) {
      return RefusedInput(rules, extra->name, "belongs to input_ids and cannot come with text");
    }
    REPRISE_RETURN_IF_ERROR(CheckTextShape(*named.text, rules));
    named.rows = named.text->shape[0];
    return named;
  }
  REPRISE_RETURN_IF_ERROR(CheckIdShape(*named.input_ids, rules));
  REPRISE_RETURN_IF_ERROR(CheckSameShape(named.attention_mask, *named.input_ids, rules));
  REPRISE_RETURN_IF_ERROR(CheckSameShape(named.token_type_ids, *named.input_ids, rules));
  named.rows = named.input_ids->shape[0];
  return named;
}

absl::StatusOr<PackedRows> PackIds(const NamedInputs& inputs, const InputRules& rules) {
  REPRISE_CHECK(inputs.input_ids != nullptr);
  PackedRows packed;
  packed.padded_len = inputs.input_ids->shape[1];
  packed.cu_seqlens.reserve(inputs.rows + 1);
  const std::int64_t most =
      std::min(inputs.rows * packed.padded_len, rules.max_batch_tokens + packed.padded_len);
  packed.input_ids.reserve(most);
  packed.token_type_ids.reserve(most);
  packed.position_ids.reserve(most);
  for (std::int64_t row = 0; row < inputs.rows; ++row) {
    REPRISE_RETURN_IF_ERROR(PackIdRow(inputs, row, rules, &packed));
    REPRISE_RETURN_IF_ERROR(CheckTokens(packed, rules));
  }
  return packed;
}

EncodeText EncodeWith(const Tokenizer& tokenizer) {
  return [&tokenizer](std::string_view text, std::size_t max_tokens) {
    return max_tokens == 0 ? tokenizer.Encode(text) : tokenizer.Encode(text, max_tokens);
  };
}

absl::Status AppendText(std::string_view text, bool truncate, const EncodeText& encode,
                        const InputRules& rules, PackedRows* packed) {
  const std::int64_t row = packed->rows();
  const absl::StatusOr<Encoding> encoding =
      encode(text, truncate ? static_cast<std::size_t>(rules.max_text_tokens) : 0);
  if (!encoding.ok()) {
    return absl::Status(encoding.status().code(),
                        absl::StrCat("model '", rules.model_name, "': input 'text' row ", row, ": ",
                                     encoding.status().message()));
  }
  const auto tokens = static_cast<std::int64_t>(encoding->ids.size());
  if (tokens > rules.max_text_tokens) {
    return RefusedInput(rules, kText, "row ", row, " has ", tokens,
                        " tokens with the special ones; expected at most ", rules.max_text_tokens,
                        ". Shorten it, or set the request parameter 'truncate' to true");
  }
  if (tokens == 0) return RefusedInput(rules, kText, "row ", row, " has no token");
  for (std::int64_t column = 0; column < tokens; ++column) {
    const std::int32_t id = encoding->ids[column];
    const std::int32_t type = encoding->type_ids[column];
    REPRISE_RETURN_IF_ERROR(CheckElement(kText, row, column, id, rules.vocab_size, rules));
    REPRISE_RETURN_IF_ERROR(CheckElement(kText, row, column, type, rules.type_vocab_size, rules));
    AppendToken(id, type, column, packed);
  }
  packed->cu_seqlens.push_back(static_cast<std::int32_t>(packed->input_ids.size()));
  packed->padded_len = std::max(packed->padded_len, tokens);
  return CheckTokens(*packed, rules);
}

std::int64_t ByteSize(std::span<const Tensor> tensors) {
  std::int64_t bytes = 0;
  for (const Tensor& tensor : tensors) {
    bytes += static_cast<std::int64_t>(tensor.raw.size());
    for (const std::string& element : tensor.elements) {
      bytes += static_cast<std::int64_t>(element.size());
    }
  }
  return bytes;
}

}  // namespace reprise::server::pipeline
