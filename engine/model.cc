#include "engine/model.h"

#include <utility>

#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/bert_weights.h"
#include "engine/check.h"
#include "engine/device/cpu/isa.h"
#include "engine/weights/checkpoint.h"

namespace reprise::engine {

Precision ResolvePrecision(Precision requested) {
  if (requested != Precision::kAuto) return requested;
  const bool multiplies_bf16 = device::ActiveCpuIsa() >= device::CpuIsa::kAvx512Bf16;
  return multiplies_bf16 ? Precision::kBF16 : Precision::kF32;
}

std::string_view Name(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
      return "auto";
    case Precision::kF32:
      return "fp32";
    case Precision::kBF16:
      return "bf16";
  }
  return "?";
}

DType ElementType(Precision resolved) {
  REPRISE_CHECK(resolved != Precision::kAuto);
  return resolved == Precision::kBF16 ? DType::kBF16 : DType::kF32;
}

Model::~Model() = default;

absl::StatusOr<std::shared_ptr<const Model>> Model::Load(const std::string& directory,
                                                         const ModelOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const architectures::BertConfig config,
                           architectures::ReadBertConfig(directory));
  REPRISE_ASSIGN_OR_RETURN(const std::unique_ptr<const weights::Checkpoint> checkpoint,
                           weights::Checkpoint::Open(directory));
  return Create(config, *checkpoint, options);
}

absl::StatusOr<std::shared_ptr<const Model>> Model::Create(const architectures::BertConfig& config,
                                                           const weights::WeightSource& source,
                                                           const ModelOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const architectures::BertParts parts,
                           architectures::FindParts(config, source));
  // Names and shapes first: nothing is allocated for weights that do not belong to this config.
  REPRISE_RETURN_IF_ERROR(architectures::CheckParameters(config, parts, source));

  std::shared_ptr<Model> model(new Model());
  model->config_ = config;
  model->precision_ = ResolvePrecision(options.precision);
  REPRISE_ASSIGN_OR_RETURN(
      architectures::BertWeights packed,
      architectures::PackBertWeights(config, parts, source, ElementType(model->precision_)));
  model->has_pooler_ = parts.pooler;
  model->num_labels_ = parts.num_labels;
  model->parameter_count_ =
      architectures::ParameterCount(architectures::BertParameters(config, parts));
  model->parameter_bytes_ = packed.packed_bytes;
  model->weights_ = std::make_unique<architectures::BertWeights>(std::move(packed));
  return model;
}

}  // namespace reprise::engine
