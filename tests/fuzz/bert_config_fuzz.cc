#include <cstdint>
#include <span>
#include <string_view>

#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_limits.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/sentence_config.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "tests/fuzz/fuzz_targets.h"

namespace reprise::fuzz {

namespace architectures = engine::architectures;
using architectures::BertConfig;

void FuzzBertConfig(std::span<const std::uint8_t> input) {
  const auto json = engine::weights::ParseJson(
      std::string_view(reinterpret_cast<const char*>(input.data()), input.size()), "input");
  if (!json.ok()) return;

  BertConfig sentence;
  sentence.hidden_size = 8;
  sentence.max_position_embeddings = 64;
  architectures::ParseModules(*json, sentence).IgnoreError();
  architectures::ParsePooling(*json, sentence).IgnoreError();
  architectures::ParseTextLimit(*json, sentence).IgnoreError();
  REPRISE_CHECK(sentence.max_text_tokens <= 64);

  const absl::StatusOr<BertConfig> config = architectures::ParseBertConfig(*json);
  if (!config.ok()) {
    REPRISE_CHECK(config.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  REPRISE_CHECK(config->head_dim() * config->num_heads == config->hidden_size);
  const std::int64_t parameters =
      architectures::ParameterCount(architectures::BertParameters(*config, {}));
  REPRISE_CHECK(parameters > 0 && parameters <= architectures::kMaxParameters);
  const absl::StatusOr<BertConfig> again = architectures::ParseBertConfig(ToJson(*config));
  REPRISE_CHECK(again.ok());
  REPRISE_CHECK(ToJson(*again) == ToJson(*config));
  REPRISE_CHECK(again->plan == config->plan);
  REPRISE_CHECK(again->layer_norm_eps == config->layer_norm_eps);
}

}  // namespace reprise::fuzz
