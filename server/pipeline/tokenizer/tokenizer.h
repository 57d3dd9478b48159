// Text to token ids, by the model's own tokenizer.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

struct reprise_tokenizer;  // reprise_tokenizer.h

namespace reprise::server::pipeline {

// The tokens of one text, special tokens included. Both vectors have the same length.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;
};

// Hugging Face tokenizers behind a C++ face: a model's tokenizer.json gives the ids that Python's
// `tokenizers` gives. Immutable after loading and thread-safe.
class Tokenizer {
 public:
  // Loads the tokenizer.json at `path`. Truncation and padding stored in it are switched off: an
  // encoding is as long as its text. NotFound if there is no such file, InvalidArgument if it is
  // not a tokenizer, Internal if it cannot be read.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromFile(const std::string& path);

  // Encodes `text` (UTF-8) with its special tokens, whole. InvalidArgument if it is not UTF-8 or
  // holds a piece that the vocabulary has no token for; Internal if the library failed, which
  // leaves this object usable.
  absl::StatusOr<Encoding> Encode(std::string_view text) const;

  // The same, cut to at most `max_tokens` tokens, special tokens included and kept, as Python's
  // `truncation=True, max_length=max_tokens` does: at the end, unless the file names the other
  // side. InvalidArgument also if the special tokens alone are more than `max_tokens`.
  absl::StatusOr<Encoding> Encode(std::string_view text, size_t max_tokens) const;

  // One more than the largest id of the vocabulary, added tokens included.
  int vocab_size() const;

 private:
  struct Free {
    void operator()(reprise_tokenizer* tokenizer) const;
  };
  using Handle = std::unique_ptr<reprise_tokenizer, Free>;

  explicit Tokenizer(Handle handle) : handle_(std::move(handle)) {}

  Handle handle_;
};

}  // namespace reprise::server::pipeline
