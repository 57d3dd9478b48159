// The parts of a servable that runs on fake runners and encodes a text as its bytes.
#pragma once

#include <memory>
#include <string>

#include "server/repository/servable.h"
#include "tests/server/fakes/fake_runner.h"

namespace reprise::server::testing {

inline absl::StatusOr<pipeline::Encoding> EncodeAsBytes(std::string_view text,
                                                        std::size_t max_tokens) {
  pipeline::Encoding encoding;
  for (const char c : text) {
    if (max_tokens != 0 && encoding.ids.size() == max_tokens) break;
    encoding.ids.push_back(c);
    encoding.type_ids.push_back(0);
  }
  return encoding;
}

inline repository::ServableParts FakeParts(const std::string& model, const std::string& version,
                                           std::shared_ptr<RunnerControl> control) {
  repository::ServableParts parts;
  parts.description.name = model;
  parts.description.version = version;
  parts.description.limits.max_batch_size = 4;
  parts.description.limits.max_batch_tokens = 32;
  parts.description.limits.max_batch_score_bytes = 1 << 20;
  parts.description.limits.max_sequence_tokens = 16;
  parts.description.limits.max_text_tokens = 8;
  parts.description.limits.max_queue_requests = 8;
  parts.description.limits.max_queue_rows = 16;
  parts.description.limits.max_queue_tokens = 64;
  parts.description.limits.max_queue_bytes = 4096;
  parts.description.limits.max_queue_score_bytes = 1 << 20;
  parts.outputs = {.model_name = model,
                   .has = {.last_hidden_state = true, .sentence_embedding = true},
                   .hidden_size = kFakeHidden,
                   .max_reply_bytes = 1 << 20};
  parts.vocab_size = 2000;
  parts.type_vocab_size = 2;
  parts.max_text_bytes = 1024;
  parts.score_bytes_per_square = 2;
  parts.batching.max_overtakes = 2;
  parts.encode = EncodeAsBytes;
  parts.runners.push_back(std::make_unique<FakeRunner>(std::move(control)));
  return parts;
}

}  // namespace reprise::server::testing
