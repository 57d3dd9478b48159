#include "loadtest/overhead/noop_server.h"

#include <stop_token>
#include <utility>

#include "engine/analysis/save_checkpoint.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/check.h"
#include "engine/weights/random_source.h"
#include "loadtest/overhead/noop_runner.h"
#include "server/repository/model_repository.h"
#include "server/repository/servable_loader.h"

namespace reprise::loadtest {
namespace {

namespace architectures = engine::architectures;
using server::SteadyClock;
using server::repository::ModelServingOptions;
using server::repository::ServableParts;
using server::repository::VersionDirectory;

constexpr int kHiddenSize = 384;  // the reply of a MiniLM

absl::Status WriteModel(const std::string& directory) {
  architectures::BertConfig config;
  config.num_layers = 1;
  config.num_heads = 12;
  config.hidden_size = kHiddenSize;
  config.intermediate_size = 64;
  config.vocab_size = kNoopVocabulary;
  config.max_position_embeddings = kNoopMaxTokens;
  config.max_text_tokens = kNoopMaxTokens;
  config.type_vocab_size = 2;
  config.pooling = architectures::Pooling::kMean;
  REPRISE_ASSIGN_OR_RETURN(config.plan,
                           engine::reuse::ReusePlan::Exact(config.num_layers, config.num_heads));
  const engine::weights::RandomSource weights(architectures::BertParameters(config, {}), 1);
  return engine::analysis::SaveCheckpoint(config, weights, directory);
}

absl::StatusOr<ServableParts> LoadWithoutExecutor(const std::string& name,
                                                  const VersionDirectory& directory,
                                                  const ModelServingOptions& options,
                                                  const std::stop_token& stop) {
  REPRISE_ASSIGN_OR_RETURN(ServableParts parts,
                           server::repository::LoadUnchecked(name, directory, options, stop));
  const auto max_tokens = parts.description.limits.max_batch_tokens;
  for (auto& runner : parts.runners) {
    runner = std::make_unique<NoopRunner>(max_tokens, kHiddenSize);
  }
  return parts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NoopServer>> NoopServer::Start(const std::string& directory) {
  REPRISE_RETURN_IF_ERROR(WriteModel(directory));
  REPRISE_ASSIGN_OR_RETURN(
      auto models, server::repository::FindModels({.path = directory, .model_name = kNoopModel}));
  std::unique_ptr<NoopServer> noop(new NoopServer);
  noop->core_ = std::make_unique<server::repository::ServingCoreImpl>(
      std::move(models), server::repository::ModelSource{}, LoadWithoutExecutor,
      server::repository::CoreOptions{}, server::Clock::Real(), noop->observer_);
  noop->core_->StartLoading();
  const auto loaded = noop->core_->AwaitLoaded(SteadyClock::time_point::max());
  REPRISE_RETURN_IF_ERROR(*loaded);
  REPRISE_ASSIGN_OR_RETURN(
      noop->grpc_, server::grpc::GrpcServer::Start({.port = 0}, {.core = *noop->core_,
                                                                 .observer = noop->observer_,
                                                                 .statistics = noop->statistics_,
                                                                 .log = noop->log_,
                                                                 .alive = [] { return true; }}));
  return noop;
}

NoopServer::~NoopServer() {
  if (grpc_ != nullptr) grpc_->Shutdown(SteadyClock::now());
  if (core_ != nullptr) core_->Shutdown();
}

}  // namespace reprise::loadtest
