#include "server/pipeline/tokenizer/tokenizer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/check.h"
#include "server/pipeline/tokenizer/reprise_tokenizer.h"

namespace reprise::server::pipeline {
namespace {

absl::StatusCode StatusCodeOf(reprise_tokenizer_code code) {
  switch (code) {
    case REPRISE_TOKENIZER_OK:
      return absl::StatusCode::kOk;
    case REPRISE_TOKENIZER_INVALID_ARGUMENT:
      return absl::StatusCode::kInvalidArgument;
    case REPRISE_TOKENIZER_NOT_FOUND:
      return absl::StatusCode::kNotFound;
    case REPRISE_TOKENIZER_INTERNAL:
      break;
  }
  return absl::StatusCode::kInternal;
}

// Takes `error` over, which is set because `code` is not OK.
absl::Status TakeError(reprise_tokenizer_code code, char* error) {
  absl::Status status(StatusCodeOf(code), absl::string_view(error));
  reprise_tokenizer_free_error(error);
  return status;
}

}  // namespace

void Tokenizer::Free::operator()(reprise_tokenizer* tokenizer) const {
  reprise_tokenizer_free(tokenizer);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromFile(const std::string& path) {
  reprise_tokenizer* tokenizer = nullptr;
  char* error = nullptr;
  const reprise_tokenizer_code code =
      reprise_tokenizer_load(path.data(), path.size(), &tokenizer, &error);
  if (code != REPRISE_TOKENIZER_OK) return TakeError(code, error);
  std::unique_ptr<Tokenizer> loaded(new Tokenizer(Handle(tokenizer)));
  // What a post-processor adds to every text need not be in the vocabulary.
  REPRISE_ASSIGN_OR_RETURN(const Encoding added, loaded->Encode(""));
  for (const std::int32_t id : added.ids) {
    if (id >= 0 && id < loaded->vocab_size()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "': its post_processor adds the token id ", id,
                     " to every text; expected ids below ", loaded->vocab_size(),
                     ", the size of its vocabulary"));
  }
  return loaded;
}

absl::StatusOr<Encoding> Tokenizer::Encode(std::string_view text) const {
  return Encode(text, SIZE_MAX);
}

absl::StatusOr<Encoding> Tokenizer::Encode(std::string_view text, size_t max_tokens) const {
  reprise_encoding tokens{};
  char* error = nullptr;
  const reprise_tokenizer_code code = reprise_tokenizer_encode(
      handle_.get(), text.data(), text.size(), max_tokens, &tokens, &error);
  if (code != REPRISE_TOKENIZER_OK) return TakeError(code, error);
  Encoding encoding{.ids = {tokens.ids, tokens.ids + tokens.length},
                    .type_ids = {tokens.type_ids, tokens.type_ids + tokens.length}};
  reprise_tokenizer_free_encoding(tokens);
  return encoding;
}

int Tokenizer::vocab_size() const { return reprise_tokenizer_vocab_size(handle_.get()); }

}  // namespace reprise::server::pipeline
