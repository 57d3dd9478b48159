#include "server/commands/inspection.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/analysis/plan_grid.h"
#include "engine/architectures/bert_cost.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"
#include "nlohmann/json.hpp"
#include "server/commands/quantity_text.h"
#include "server/commands/text_table.h"
#include "server/repository/serving_options.h"

namespace reprise::server::commands {
namespace {

using engine::architectures::Activation;
using engine::architectures::BertConfig;
using engine::architectures::Pooling;
using engine::reuse::PlanSavings;

const char* Name(Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return "gelu (erf)";
    case Activation::kGeluTanh:
      return "gelu (tanh)";
    case Activation::kRelu:
      return "relu";
  }
  return "?";
}

std::string PoolingText(const BertConfig& config) {
  if (config.pooling == Pooling::kNone) return "none";
  return absl::StrCat(config.pooling == Pooling::kMean ? "mean" : "cls",
                      config.normalize ? ", normalised" : "");
}

engine::reuse::Storage StorageIn(engine::Precision precision) {
  const int bytes = static_cast<int>(engine::SizeOf(engine::ElementType(precision)));
  return {.weight_bytes = bytes, .activation_bytes = bytes, .score_bytes = bytes};
}

std::vector<std::int64_t> DefaultLengths(int longest) {
  std::vector<std::int64_t> lengths;
  for (const int length : {128, 512}) {
    if (length < longest) lengths.push_back(length);
  }
  lengths.push_back(longest);
  return lengths;
}

std::string Percent(double ratio) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%", 100 * ratio);
  return text.data();
}

std::string Giga(std::int64_t count) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", 1e-9 * static_cast<double>(count));
  return text.data();
}

std::string CostTable(const Inspection& inspection) {
  std::vector<std::vector<std::string>> rows = {{"length", "GMAC", "of exact", "scores computed",
                                                 "reused", "scores kept", "Q, K not written"}};
  for (const Inspection::Length& length : inspection.lengths) {
    const PlanSavings& savings = length.savings;
    rows.push_back({absl::StrCat(length.seq_len), Giga(savings.multiply_adds.total()),
                    Percent(savings.multiply_adds_ratio()),
                    CountText(static_cast<double>(savings.scores.computed)),
                    CountText(static_cast<double>(savings.scores.reused)),
                    ByteText(savings.score_bytes), ByteText(savings.memory_saved.activations)});
  }
  return DrawTable(rows, std::vector<bool>(7, false));
}

}  // namespace

std::vector<std::string> OutputNames(const Inspection& inspection) {
  std::vector<std::string> names = {"last_hidden_state"};
  if (inspection.config.pooling != Pooling::kNone) names.push_back("sentence_embedding");
  if (inspection.parts.pooler) names.push_back("pooler_output");
  if (inspection.parts.num_labels > 0) names.push_back("logits");
  return names;
}

absl::StatusOr<Inspection> Inspect(const std::string& directory, std::vector<std::int64_t> seq_lens,
                                   int threads) {
  Inspection inspection;
  inspection.threads = threads;
  inspection.directory = directory;
  REPRISE_ASSIGN_OR_RETURN(inspection.config, engine::architectures::ReadBertConfig(directory));
  const BertConfig& config = inspection.config;
  REPRISE_ASSIGN_OR_RETURN(const auto checkpoint, engine::weights::Checkpoint::Open(directory));
  REPRISE_ASSIGN_OR_RETURN(inspection.parts, engine::architectures::FindParts(config, *checkpoint));
  REPRISE_RETURN_IF_ERROR(
      engine::architectures::CheckParameters(config, inspection.parts, *checkpoint));
  inspection.file_bytes = checkpoint->data_bytes();
  std::error_code error;
  inspection.has_tokenizer =
      std::filesystem::exists(std::filesystem::path(directory) / "tokenizer.json", error);
  inspection.auto_precision = engine::ResolvePrecision(engine::Precision::kAuto);

  const engine::reuse::TransformerShape shape = engine::architectures::CostShape(
      config, inspection.parts.pooler, inspection.parts.num_labels);
  if (seq_lens.empty()) seq_lens = DefaultLengths(config.max_position_embeddings);
  for (const std::int64_t seq_len : seq_lens) {
    if (seq_len > config.max_position_embeddings) {
      return absl::InvalidArgumentError(
          absl::StrCat("the length is ", seq_len, ", expected at most ",
                       config.max_position_embeddings, ", the model's max_position_embeddings"));
    }
    REPRISE_RETURN_IF_ERROR(engine::reuse::CheckCostInput(shape, config.plan, {.source = seq_len}));
    inspection.lengths.push_back(
        {seq_len, engine::reuse::Predict(shape, config.plan, {.source = seq_len},
                                         StorageIn(inspection.auto_precision))});
  }
  REPRISE_ASSIGN_OR_RETURN(
      inspection.strategies,
      ForecastStrategies(config, inspection.auto_precision, seq_lens, threads));
  return inspection;
}

nlohmann::ordered_json ToJson(const Inspection& inspection) {
  const BertConfig& config = inspection.config;
  const PlanSavings& any = inspection.lengths.front().savings;
  nlohmann::ordered_json lengths = nlohmann::ordered_json::array();
  for (const Inspection::Length& length : inspection.lengths) {
    const PlanSavings& savings = length.savings;
    lengths.push_back({{"seq_len", length.seq_len},
                       {"multiply_adds", savings.multiply_adds.total()},
                       {"multiply_adds_exact", savings.exact_multiply_adds.total()},
                       {"scores_computed", savings.scores.computed},
                       {"scores_reused", savings.scores.reused},
                       {"score_bytes", savings.score_bytes},
                       {"memory_saved_bytes",
                        {{"parameters", savings.memory_saved.parameters},
                         {"activations", savings.memory_saved.activations},
                         {"scores", savings.memory_saved.scores}}}});
  }
  return {{"directory", inspection.directory},
          {"num_layers", config.num_layers},
          {"num_heads", config.num_heads},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"max_text_tokens", config.max_text_tokens},
          {"text", inspection.has_tokenizer},
          {"outputs", OutputNames(inspection)},
          {"labels", config.labels},
          {"reuse_plan", config.plan.name()},
          {"attention_reuse", config.plan.ToJson()},
          {"parameters", any.parameters},
          {"parameters_exact", any.exact_parameters},
          {"file_bytes", inspection.file_bytes},
          {"auto_precision", engine::Name(inspection.auto_precision)},
          {"lengths", lengths},
          {"threads", inspection.threads},
          {"strategies", ToJson(inspection.strategies)}};
}

std::string ToText(const Inspection& inspection) {
  const BertConfig& config = inspection.config;
  const PlanSavings& any = inspection.lengths.front().savings;
  std::string text = absl::StrCat(inspection.directory, "\n");
  const auto line = [&text](const char* name, const std::string& value) {
    absl::StrAppend(&text, "  ", name, std::string(20 - std::string_view(name).size(), ' '), value,
                    "\n");
  };
  line("encoder", absl::StrCat(config.num_layers, " layers, ", config.num_heads, " heads of ",
                               config.head_dim(), ", hidden ", config.hidden_size,
                               ", feed forward ", config.intermediate_size, ", ",
                               Name(config.activation), config.norm_first ? ", pre-LN" : ""));
  line("vocabulary",
       absl::StrCat(config.vocab_size, " tokens, ", config.max_position_embeddings, " positions"));
  line("text", inspection.has_tokenizer
                   ? absl::StrCat("up to ", config.max_text_tokens, " tokens (tokenizer.json)")
                   : "no tokenizer.json: token ids only");
  line("outputs", absl::StrJoin(OutputNames(inspection), ", "));
  line("pooling", PoolingText(config));
  line("parameters",
       absl::StrCat(CountText(static_cast<double>(any.parameters)), ", ",
                    Percent(any.parameters_ratio()), " of the exact model's; ",
                    ByteText(static_cast<std::int64_t>(inspection.file_bytes)), " on disk"));
  line("precision",
       absl::StrCat("fp32 or bf16; auto is ", std::string(engine::Name(inspection.auto_precision)),
                    " on this machine"));
  absl::StrAppend(&text, "\n", engine::analysis::DrawPlanGrid(config.plan),
                  "\nPredicted for one sequence, ",
                  std::string(engine::Name(inspection.auto_precision)),
                  ", scores stored (GMAC: 10^9 multiply-adds):\n", CostTable(inspection));
  if (!inspection.strategies.empty()) {
    absl::StrAppend(&text,
                    "\nAttention of one sequence by strategy, ms, by times of heads measured on ",
                    inspection.threads, inspection.threads == 1 ? " thread" : " threads",
                    " of this machine:\n", DrawForecasts(inspection.strategies));
  }
  return text;
}

}  // namespace reprise::server::commands
