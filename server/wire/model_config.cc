#include "server/wire/model_config.h"

#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/model.h"

namespace reprise::server::wire {
namespace {

inference::DataType ConfigType(DataType datatype) {
  switch (datatype) {
    case DataType::kBool:
      return inference::TYPE_BOOL;
    case DataType::kInt8:
      return inference::TYPE_INT8;
    case DataType::kInt16:
      return inference::TYPE_INT16;
    case DataType::kInt32:
      return inference::TYPE_INT32;
    case DataType::kInt64:
      return inference::TYPE_INT64;
    case DataType::kUint8:
      return inference::TYPE_UINT8;
    case DataType::kUint16:
      return inference::TYPE_UINT16;
    case DataType::kUint32:
      return inference::TYPE_UINT32;
    case DataType::kUint64:
      return inference::TYPE_UINT64;
    case DataType::kFp16:
      return inference::TYPE_FP16;
    case DataType::kBf16:
      return inference::TYPE_BF16;
    case DataType::kFp32:
      return inference::TYPE_FP32;
    case DataType::kFp64:
      return inference::TYPE_FP64;
    case DataType::kBytes:
      return inference::TYPE_STRING;
  }
  return inference::TYPE_INVALID;
}

void FillTensorMetadata(const TensorSpec& spec,
                        inference::ModelMetadataResponse::TensorMetadata* metadata) {
  metadata->set_name(spec.name);
  metadata->set_datatype(std::string(Name(spec.datatype)));
  metadata->mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
}

template <typename ConfigTensor>
void FillConfigTensor(const TensorSpec& spec, ConfigTensor* config) {
  config->set_name(spec.name);
  config->set_data_type(ConfigType(spec.datatype));
  if (!spec.shape.empty()) config->mutable_dims()->Add(spec.shape.begin() + 1, spec.shape.end());
}

void FillBatching(const ModelLimits& limits, inference::ModelDynamicBatching* batching) {
  batching->set_max_queue_delay_microseconds(limits.max_queue_delay_us);
  batching->set_priority_levels(limits.priority_levels);
  batching->set_default_priority_level(limits.default_priority);
  auto* policy = batching->mutable_default_queue_policy();
  policy->set_timeout_action(inference::ModelQueuePolicy::REJECT);
  policy->set_default_timeout_microseconds(limits.queue_timeout_us);
  policy->set_allow_timeout_override(true);
  policy->set_max_queue_size(static_cast<std::uint32_t>(limits.max_queue_requests));
}

class Parameters {
 public:
  explicit Parameters(inference::ModelConfig* config) : config_(config) {}
  void Set(std::string_view name, const std::string& value) {
    (*config_->mutable_parameters())[absl::StrCat("reprise.", std::string(name))].set_string_value(
        value);
  }
  void SetLimit(std::string_view name, std::int64_t value) {
    if (value > 0) Set(name, std::to_string(value));
  }

 private:
  inference::ModelConfig* config_;
};

void FillParameters(const ModelDescription& description, inference::ModelConfig* config) {
  const ModelLimits& limits = description.limits;
  Parameters parameters(config);
  parameters.Set("device", description.device);
  parameters.Set("strategy", description.strategy);
  parameters.Set("executors", std::to_string(limits.executors));
  parameters.Set("threads", std::to_string(limits.threads));
  parameters.Set("max_queue_delay_us", std::to_string(limits.max_queue_delay_us));
  parameters.SetLimit("max_batch_tokens", limits.max_batch_tokens);
  parameters.SetLimit("max_batch_score_bytes", limits.max_batch_score_bytes);
  parameters.SetLimit("max_sequence_tokens", limits.max_sequence_tokens);
  parameters.SetLimit("max_text_tokens", limits.max_text_tokens);
  parameters.SetLimit("max_queue_requests", limits.max_queue_requests);
  parameters.SetLimit("max_queue_rows", limits.max_queue_rows);
  parameters.SetLimit("max_queue_tokens", limits.max_queue_tokens);
  parameters.SetLimit("max_queue_bytes", limits.max_queue_bytes);
  parameters.SetLimit("max_queue_score_bytes", limits.max_queue_score_bytes);
  if (description.model != nullptr) {
    parameters.Set("precision", std::string(engine::Name(description.model->precision())));
    parameters.Set("reuse_plan", description.model->plan().name());
  }
}

}  // namespace

inference::ModelMetadataResponse ToModelMetadata(const ModelDescription& description) {
  inference::ModelMetadataResponse metadata;
  metadata.set_name(description.name);
  metadata.set_platform(description.platform);
  metadata.mutable_versions()->Add(description.versions.begin(), description.versions.end());
  for (const TensorSpec& spec : description.inputs) {
    FillTensorMetadata(spec, metadata.add_inputs());
  }
  for (const TensorSpec& spec : description.outputs) {
    FillTensorMetadata(spec, metadata.add_outputs());
  }
  return metadata;
}

inference::ModelConfig ToModelConfig(const ModelDescription& description) {
  inference::ModelConfig config;
  config.set_name(description.name);
  config.set_platform(description.platform);
  config.set_backend("reprise");
  auto* served = config.mutable_version_policy()->mutable_specific();
  for (const std::string& version : description.versions) {
    std::int64_t number = 0;
    if (absl::SimpleAtoi(version, &number)) served->add_versions(number);
  }
  config.set_max_batch_size(static_cast<std::int32_t>(description.limits.max_batch_size));
  for (const TensorSpec& spec : description.inputs) {
    inference::ModelInput* input = config.add_input();
    FillConfigTensor(spec, input);
    input->set_optional(spec.optional);
    // Texts differ in length within a tensor anyway; rows of ids only across requests.
    input->set_allow_ragged_batch(spec.datatype != DataType::kBytes);
  }
  for (const TensorSpec& spec : description.outputs) {
    FillConfigTensor(spec, config.add_output());
  }
  inference::ModelInstanceGroup* group = config.add_instance_group();
  group->set_name(description.name);
  group->set_count(description.limits.executors);
  group->set_kind(description.device == "cpu" ? inference::ModelInstanceGroup::KIND_CPU
                                              : inference::ModelInstanceGroup::KIND_GPU);
  // Its presence is what tells clients that requests are batched.
  FillBatching(description.limits, config.mutable_dynamic_batching());
  config.mutable_model_transaction_policy()->set_decoupled(false);
  config.mutable_response_cache()->set_enable(false);
  FillParameters(description, &config);
  return config;
}

}  // namespace reprise::server::wire
