// How `reprise convert` was asked to convert.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/device/cpu/cores.h"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

// What makes a head a good source for another.
enum class Criterion {
  kSensitivity,  // little change of the model's answers: output error times measured sensitivity
  kOutputError,  // little change of the layer's output
  kSimilarity,   // similar attention
};

// What --budget is a share of.
enum class BudgetKind {
  kScores,   // score matrices, one for each head
  kMacs,     // multiply-adds of the encoder's layers
  kLatency,  // predicted time of the encoder's layers
};

struct ConvertOptions {
  std::string model;
  std::string output;
  // Which heads reuse: the paper's layout,
  int heads = 0;
  int layers = 0;
  std::string variant;  // with layers: alternate, all_end or skip
  std::string plan;     // or another by name, or a JSON file with one; or by what texts say:
  std::optional<double> budget;
  BudgetKind budget_kind = BudgetKind::kScores;
  std::int64_t budget_length = 128;  // tokens of a text, for kMacs and kLatency
  Criterion criterion = Criterion::kSensitivity;
  std::vector<double> sweep;  // budgets to compare; nothing is kept of them but their figures
  // What is adjusted, and on which texts.
  TextSampleOptions sample = {.files = {}, .max_texts = 3000, .max_tokens = 512, .seed = 1};
  std::vector<std::string> held_out;  // files to judge by; empty: a fifth of the texts
  bool refit = true;
  double ridge = 0.1;
  double min_quality = 0.95;
  bool force = false;
  int threads = engine::device::UsableCores();
};

}  // namespace reprise::server::commands
