#include "engine/model.h"

#include <utility>

#include "engine/architectures/bert_parameters.h"
#include "engine/backend.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"

namespace reprise::engine {

Model::~Model() = default;

std::string Model::DescribeDevice() const { return backend_->DescribeDevice(); }

std::int64_t Model::parameter_bytes() const { return backend_->parameter_bytes(); }

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
  model->parts_ = parts;
  model->device_ = options.device;
  model->precision_ = ResolvePrecision(options.precision, options.device);
  model->parameter_count_ =
      architectures::ParameterCount(architectures::BertParameters(config, parts));
  const BackendRequest request = {.config = model->config_,
                                  .parts = model->parts_,
                                  .source = source,
                                  .precision = model->precision_,
                                  .device = options.device};
  REPRISE_ASSIGN_OR_RETURN(model->backend_, options.device.kind == DeviceId::Kind::kCuda
                                                ? LoadOnCuda(request)
                                                : LoadOnCpu(request));
  return model;
}

}  // namespace reprise::engine
