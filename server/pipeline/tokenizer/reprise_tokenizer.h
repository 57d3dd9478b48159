// The C border between the server and the Rust crate in rust/, which wraps Hugging Face tokenizers.
//
// Memory crosses the border in one direction: what the crate hands out is given back to the crate's
// own free function. No function unwinds: a panic inside becomes REPRISE_TOKENIZER_INTERNAL. C++
// code uses tokenizer.h instead.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum reprise_tokenizer_code {
  REPRISE_TOKENIZER_OK = 0,
  REPRISE_TOKENIZER_INVALID_ARGUMENT = 1,  // the file or the text is not what it has to be
  REPRISE_TOKENIZER_NOT_FOUND = 2,         // the file does not exist
  REPRISE_TOKENIZER_INTERNAL = 3,          // the file cannot be read, or the library panicked
} reprise_tokenizer_code;

// Immutable after loading; any number of threads may encode with one at a time.
typedef struct reprise_tokenizer reprise_tokenizer;

// The tokens of one text. `ids` and `type_ids` hold `length` entries each.
typedef struct reprise_encoding {
  int32_t* ids;
  int32_t* type_ids;
  size_t length;
} reprise_encoding;

// In the two functions below `*error` is set exactly when the code is not OK: a NUL-terminated
// message without any of the text, to be given back to reprise_tokenizer_free_error. The other
// output is set exactly when the code is OK.

// Reads a tokenizer.json at `path` (`path_length` bytes). Truncation and padding stored in the file
// are switched off.
reprise_tokenizer_code reprise_tokenizer_load(const char* path, size_t path_length,
                                              reprise_tokenizer** tokenizer, char** error);

// Encodes `text` (`text_length` bytes of UTF-8) with its special tokens. A text of more than
// `max_tokens` tokens, the special ones included, is cut to that number and keeps the special ones;
// SIZE_MAX means never.
reprise_tokenizer_code reprise_tokenizer_encode(const reprise_tokenizer* tokenizer,
                                                const char* text, size_t text_length,
                                                size_t max_tokens, reprise_encoding* encoding,
                                                char** error);

// One more than the largest id in the vocabulary, added tokens included; 0 for an empty vocabulary.
int32_t reprise_tokenizer_vocab_size(const reprise_tokenizer* tokenizer);

void reprise_tokenizer_free(reprise_tokenizer* tokenizer);        // NULL is allowed
void reprise_tokenizer_free_encoding(reprise_encoding encoding);  // each encoding once
void reprise_tokenizer_free_error(char* error);                   // NULL is allowed

#ifdef __cplusplus
}  // extern "C"
#endif
