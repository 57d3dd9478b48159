// Random models that a GPU takes.
#pragma once

#include "tests/reference/random_model.h"

namespace reprise::engine::cuda {

// RandomConfig's next one whose hidden_size is a multiple of 8.
inline reference::BertConfig RandomGpuConfig(reference::ReuseRecipe::Kind kind,
                                             reference::Random& random) {
  for (;;) {
    const reference::BertConfig config = reference::RandomConfig(kind, random);
    if (config.hidden_size % 8 == 0) return config;
  }
}

}  // namespace reprise::engine::cuda
