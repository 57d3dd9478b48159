// A model small enough to be made, loaded and run in a moment.
#pragma once

namespace reprise::testing {

inline constexpr char kTinyConfig[] = R"({
  "model_type": "bert", "num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 64,
  "intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 64})";

}  // namespace reprise::testing
