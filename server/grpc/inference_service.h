// inference.GRPCInferenceService, the Open Inference Protocol v2 on top of a ServingCore.
#pragma once

#include <string>
#include <string_view>

#include "inference/grpc_service.grpc.pb.h"
#include "server/grpc/raw_service.h"
#include "server/grpc/service_context.h"

namespace reprise::server::grpc {

using InferenceServiceBase =
    RawService<inference::GRPCInferenceService::Service,
               inference::GRPCInferenceService::WithRawCallbackMethod_ServerLive,
               inference::GRPCInferenceService::WithRawCallbackMethod_ServerReady,
               inference::GRPCInferenceService::WithRawCallbackMethod_ModelReady,
               inference::GRPCInferenceService::WithRawCallbackMethod_ServerMetadata,
               inference::GRPCInferenceService::WithRawCallbackMethod_ModelMetadata,
               inference::GRPCInferenceService::WithRawCallbackMethod_ModelInfer,
               inference::GRPCInferenceService::WithRawCallbackMethod_ModelStreamInfer,
               inference::GRPCInferenceService::WithRawCallbackMethod_ModelConfig,
               inference::GRPCInferenceService::WithRawCallbackMethod_ModelStatistics,
               inference::GRPCInferenceService::WithRawCallbackMethod_RepositoryIndex,
               inference::GRPCInferenceService::WithRawCallbackMethod_RepositoryModelLoad,
               inference::GRPCInferenceService::WithRawCallbackMethod_RepositoryModelUnload,
               inference::GRPCInferenceService::WithRawCallbackMethod_SystemSharedMemoryStatus,
               inference::GRPCInferenceService::WithRawCallbackMethod_SystemSharedMemoryRegister,
               inference::GRPCInferenceService::WithRawCallbackMethod_SystemSharedMemoryUnregister,
               inference::GRPCInferenceService::WithRawCallbackMethod_CudaSharedMemoryStatus,
               inference::GRPCInferenceService::WithRawCallbackMethod_CudaSharedMemoryRegister,
               inference::GRPCInferenceService::WithRawCallbackMethod_CudaSharedMemoryUnregister,
               inference::GRPCInferenceService::WithRawCallbackMethod_TraceSetting,
               inference::GRPCInferenceService::WithRawCallbackMethod_LogSettings>;

// Thread-safe. Methods that are not built answer UNIMPLEMENTED.
class InferenceService final : public InferenceServiceBase {
 public:
  explicit InferenceService(ServiceContext& service) : service_(service) {}

 private:
  using Context = ::grpc::CallbackServerContext;
  using Bytes = ::grpc::ByteBuffer;
  using Reactor = ::grpc::ServerUnaryReactor;

  using ControlMethod = void (ServingCore::*)(const std::string& name,
                                              const ControlParameters& parameters,
                                              ControlCallback done);

  template <typename Request>
  Reactor* Control(std::string_view method, ControlMethod act, Context* context, const Bytes& bytes,
                   Bytes* response);

  Reactor* ServerLive(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* ServerReady(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* ModelReady(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* ServerMetadata(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* ModelMetadata(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* ModelInfer(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* ModelConfig(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* RepositoryIndex(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* RepositoryModelLoad(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* RepositoryModelUnload(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* ModelStatistics(Context* context, const Bytes* bytes, Bytes* response) override;
  Reactor* LogSettings(Context* context, const Bytes* bytes, Bytes* response) override;
  ::grpc::ServerBidiReactor<Bytes, Bytes>* ModelStreamInfer(Context* context) override;

  Reactor* SystemSharedMemoryStatus(Context* context, const Bytes*, Bytes*) override;
  Reactor* SystemSharedMemoryRegister(Context* context, const Bytes*, Bytes*) override;
  Reactor* SystemSharedMemoryUnregister(Context* context, const Bytes*, Bytes*) override;
  Reactor* CudaSharedMemoryStatus(Context* context, const Bytes*, Bytes*) override;
  Reactor* CudaSharedMemoryRegister(Context* context, const Bytes*, Bytes*) override;
  Reactor* CudaSharedMemoryUnregister(Context* context, const Bytes*, Bytes*) override;
  Reactor* TraceSetting(Context* context, const Bytes*, Bytes*) override;

  ServiceContext& service_;
};

}  // namespace reprise::server::grpc
