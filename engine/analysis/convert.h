// Turns an ordinary checkpoint into a reuse checkpoint by leaving weights out and changing others.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::engine::analysis {

struct ConversionOptions {
  std::string input_directory;
  std::string output_directory;  // new or empty; its parents are made where missing
  reuse::ReusePlan plan;         // of the model's layers and heads (ReadBertConfig tells them)
  // Called after each tensor with how many are done and how many there are. May be empty.
  std::function<void(int done, int total)> progress;
  // What each head's value projection is multiplied with (not its bias), head h of layer l at l *
  // heads + h; empty: all 1.
  std::vector<double> value_scales;
  // Tensors to write in place of the stored ones, by their names in a WeightSource: as many values,
  // in the stored shape; written in the stored type.
  std::map<std::string, std::vector<float>> replaced;
  // Called with the directory when it is whole and has not its name yet: may add files, and an
  // error removes it. May be empty.
  std::function<absl::Status(const std::string& directory)> before_commit;
};

struct ConversionReport {
  int heads = 0;  // of all layers
  int reused_heads = 0;
  int layers_without_attention = 0;
  std::int64_t parameters_before = 0;  // of the encoder, pooler and classifier
  std::int64_t parameters_after = 0;
  std::uint64_t weight_bytes_before = 0;  // of all tensors in the files
  std::uint64_t weight_bytes_after = 0;
};

// Writes `output_directory`: config.json with all its keys and attention_reuse, model.safetensors
// without the query and key rows of reused heads (and without the attention of layers that have
// none), the values of scaled heads, replaced tensors, every other tensor bit for bit under its
// stored name and in its stored type, and copies of the tokenizer's and sentence-transformers'
// files. Head j of the input is slot j of the plan. Without scales and replaced tensors no weight
// is adjusted, and the model answers differently: it is a starting point for training and a test
// model of the right cost. The
// directory appears whole or not at all. NotFound or InvalidArgument if the input cannot be read,
// is a reuse model already or does not have the plan's layers and heads; AlreadyExists if there is
// something at `output_directory`.
absl::StatusOr<ConversionReport> ConvertStructurally(const ConversionOptions& options);

}  // namespace reprise::engine::analysis
