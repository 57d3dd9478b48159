#include "server/repository/servable_loader.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_config.h"
#include "engine/check.h"
#include "engine/device/cpu/cores.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/weight_source.h"
#include "server/batching/engine_runner.h"
#include "server/repository/executor_sizing.h"
#include "server/repository/golden_gate.h"
#include "server/repository/warm_up.h"

namespace reprise::server::repository {
namespace {

using engine::architectures::BertConfig;
using engine::architectures::Pooling;

absl::Status InStep(const char* step, const absl::Status& status) {
  absl::Status named(status.code(), absl::StrCat(step, ": ", status.message()));
  status.ForEachPayload([&named](absl::string_view url, const absl::Cord& payload) {
    named.SetPayload(url, payload);
  });
  return named;
}

absl::Status Continue(const std::stop_token& stop) {
  return stop.stop_requested() ? absl::CancelledError("the server is stopping") : absl::OkStatus();
}

// Reading and packing weights is the longest step; this source makes it end between two tensors.
class StoppableSource final : public engine::weights::WeightSource {
 public:
  StoppableSource(const engine::weights::WeightSource& source, const std::stop_token& stop)
      : source_(source), stop_(stop) {}

  bool Contains(const std::string& name) const override { return source_.Contains(name); }
  absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string& name) const override {
    return source_.Shape(name);
  }
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::span<const std::int64_t> shape) const override {
    REPRISE_RETURN_IF_ERROR(Continue(stop_));
    return source_.Read(name, shape);
  }

 private:
  const engine::weights::WeightSource& source_;
  const std::stop_token& stop_;
};

absl::StatusOr<std::shared_ptr<const engine::Model>> ReadModel(const std::string& directory,
                                                               const ModelServingOptions& options,
                                                               const std::stop_token& stop) {
  REPRISE_RETURN_IF_ERROR(Continue(stop));
  REPRISE_ASSIGN_OR_RETURN(const BertConfig config,
                           engine::architectures::ReadBertConfig(directory));
  REPRISE_ASSIGN_OR_RETURN(const std::unique_ptr<const engine::weights::Checkpoint> checkpoint,
                           engine::weights::Checkpoint::Open(directory));
  return engine::Model::Create(config, StoppableSource(*checkpoint, stop),
                               {.precision = options.precision, .device = options.device});
}

// Null where there is no tokenizer.json.
absl::StatusOr<std::unique_ptr<pipeline::Tokenizer>> ReadTokenizer(const std::string& directory,
                                                                   const BertConfig& config) {
  const std::filesystem::path path = std::filesystem::path(directory) / "tokenizer.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return nullptr;
  REPRISE_ASSIGN_OR_RETURN(std::unique_ptr<pipeline::Tokenizer> tokenizer,
                           pipeline::Tokenizer::FromFile(path.string()));
  if (tokenizer->vocab_size() <= config.vocab_size) return tokenizer;
  return absl::InvalidArgumentError(
      absl::StrCat("'", path.string(), "' has ids up to ", tokenizer->vocab_size() - 1,
                   ", and config.json says vocab_size ", config.vocab_size));
}

engine::OutputSet OutputsOf(const engine::Model& model) {
  return {.last_hidden_state = true,
          .sentence_embedding = model.config().pooling != Pooling::kNone,
          .pooler_output = model.has_pooler(),
          .logits = model.num_labels() > 0};
}

TensorSpec IdSpec(std::string_view name, bool optional) {
  return {std::string(name), DataType::kInt64, {-1, -1}, optional};
}

std::vector<TensorSpec> InputSpecs(bool accepts_text) {
  // Optional where the other kind of input can stand in for it.
  std::vector<TensorSpec> specs = {IdSpec(pipeline::kInputIds, accepts_text),
                                   IdSpec(pipeline::kAttentionMask, true),
                                   IdSpec(pipeline::kTokenTypeIds, true)};
  if (accepts_text) {
    specs.push_back({std::string(pipeline::kText), DataType::kBytes, {-1, 1}, true});
  }
  return specs;
}

std::vector<TensorSpec> OutputSpecs(const pipeline::OutputRules& rules) {
  std::vector<TensorSpec> specs;
  for (const std::string& name : pipeline::OutputNames(rules.has)) {
    TensorSpec spec{name, DataType::kFp32, {-1, rules.hidden_size}, false};
    if (name == pipeline::kLastHiddenState) spec.shape = {-1, -1, rules.hidden_size};
    if (name == pipeline::kLogits) spec.shape = {-1, rules.num_labels};
    specs.push_back(std::move(spec));
  }
  return specs;
}

// Each executor is made and warmed by itself: their memory is touched by their own threads.
absl::Status AddRunners(const std::shared_ptr<const engine::Model>& model,
                        const ModelServingOptions& options, const std::stop_token& stop,
                        ServableParts* parts) {
  const ModelLimits& limits = parts->description.limits;
  for (int i = 0; i < limits.executors; ++i) {
    REPRISE_RETURN_IF_ERROR(Continue(stop));
    engine::ExecutorOptions sized = SizeExecutor(options, limits);
    sized.first_core = i * sized.threads;
    auto executor = engine::Executor::Create(model, sized);
    if (!executor.ok()) return InStep("creating an executor", executor.status());
    auto runner = std::make_unique<batching::EngineRunner>(*std::move(executor));
    // They are all alike: one executor's times do for the others.
    REPRISE_ASSIGN_OR_RETURN(
        parts->times, WarmUp(limits, parts->outputs.has, options.warmup_runs, stop, runner.get()));
    parts->runners.push_back(std::move(runner));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ServableParts> LoadUnchecked(const std::string& model_name,
                                            const VersionDirectory& directory,
                                            const ModelServingOptions& options,
                                            const std::stop_token& stop) {
  auto loaded = ReadModel(directory.path, options, stop);
  if (!loaded.ok()) return InStep("reading the model", loaded.status());
  const std::shared_ptr<const engine::Model> model = *std::move(loaded);
  const BertConfig& config = model->config();

  auto tokenizer = ReadTokenizer(directory.path, config);
  if (!tokenizer.ok()) return InStep("reading the tokenizer", tokenizer.status());

  const int cores = engine::device::UsableCores();
  ServableParts parts;
  parts.outputs = {.model_name = model_name,
                   .has = OutputsOf(*model),
                   .hidden_size = config.hidden_size,
                   .num_labels = model->num_labels(),
                   .max_reply_bytes = options.max_reply_bytes};
  parts.description.name = model_name;
  parts.description.version = absl::StrCat(directory.version);
  parts.description.inputs = InputSpecs(*tokenizer != nullptr);
  parts.description.outputs = OutputSpecs(parts.outputs);
  parts.description.labels = config.labels;
  parts.description.limits = SizeLimits(options, config, cores);
  parts.description.device = engine::ToString(options.device);
  parts.description.strategy = std::string(Name(options.strategy));
  parts.description.model = model;
  parts.vocab_size = config.vocab_size;
  parts.type_vocab_size = config.type_vocab_size;
  parts.max_text_bytes = options.max_text_bytes;
  parts.score_bytes_per_square =
      ScoreBytesPerSquare(model->plan(), model->precision(), options.score_format);
  parts.batching = options.batching;
  parts.tokenizer_threads = options.tokenizer_threads;
  parts.tokenizer = *std::move(tokenizer);
  REPRISE_RETURN_IF_ERROR(AddRunners(model, options, stop, &parts));
  return parts;
}

absl::StatusOr<ServableParts> LoadServable(const std::string& model_name,
                                           const VersionDirectory& directory,
                                           const ModelServingOptions& options,
                                           const std::stop_token& stop, MemoryBudget& budget) {
  const auto bytes = WeightBytes(directory.path, options.precision, options.device);
  if (!bytes.ok()) return InStep("reading the model", bytes.status());
  const auto share = budget.Reserve(*bytes);
  if (!share.ok()) return InStep("reserving memory", share.status());
  REPRISE_ASSIGN_OR_RETURN(ServableParts parts,
                           LoadUnchecked(model_name, directory, options, stop));
  const absl::Status golden = CheckGolden(directory.path, parts, stop);
  if (!golden.ok()) return InStep("checking the golden samples", golden);
  return parts;
}

}  // namespace reprise::server::repository
