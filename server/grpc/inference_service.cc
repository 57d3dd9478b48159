#include "server/grpc/inference_service.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/check.h"
#include "server/grpc/control_call.h"
#include "server/grpc/infer_codec.h"
#include "server/grpc/inference_call.h"
#include "server/grpc/inference_stream.h"
#include "server/grpc/message_bytes.h"
#include "server/grpc/unary_call.h"
#include "server/wire/classification.h"
#include "server/wire/control_request.h"
#include "server/wire/log_settings.h"
#include "server/wire/model_config.h"
#include "server/wire/model_statistics.h"
#include "server/wire/server_report.h"

namespace reprise::server::grpc {
namespace {

absl::Status WriteReply(const ServiceContext& service, inference::ModelInferResponse message,
                        ::grpc::ByteBuffer* response) {
  return SerializeMessage(message, service.max_send_bytes, response);
}

absl::Status WriteStreamReply(const ServiceContext& service, inference::ModelInferResponse message,
                              ::grpc::ByteBuffer* response) {
  return SerializeMessage(StreamReply(std::move(message)), service.max_send_bytes, response);
}

// A request of `method`, whose replies `write` puts on the wire.
InferenceMethod ModelInferMethod(const ServiceContext& service, decltype(WriteReply)& write,
                                 std::string_view method) {
  const auto decode = [&service, &write](const ::grpc::ByteBuffer& bytes, InferenceRequest* request,
                                         InferenceMethod::Encode* encode) -> absl::Status {
    inference::ModelInferRequest message;
    REPRISE_RETURN_IF_ERROR(ParseMessage(bytes, &message));
    ReplyWishes wishes;
    REPRISE_RETURN_IF_ERROR(DecodeModelInfer(std::move(message), request, &wishes));
    *encode = [&service, &write, wishes = std::move(wishes)](
                  InferenceReply reply, const CallTimes&,
                  ::grpc::ByteBuffer* response) -> absl::Status {
      std::vector<std::string> labels;
      if (!wishes.classifications.empty()) labels = wire::LabelsOf(service.core, reply);
      inference::ModelInferResponse message;
      REPRISE_RETURN_IF_ERROR(EncodeModelInfer(std::move(reply), wishes, labels, &message));
      return write(service, std::move(message), response);
    };
    return absl::OkStatus();
  };
  return {.name = method, .decode = decode};
}

// Metadata by which a client says that it wants errors as the status of its stream.
bool WantsGrpcErrors(const ::grpc::CallbackServerContext& context) {
  const auto wish = context.client_metadata().find("triton_grpc_error");
  return wish != context.client_metadata().end() && wish->second == "true";
}

}  // namespace

template <typename Request>
InferenceService::Reactor* InferenceService::Control(std::string_view method, ControlMethod act,
                                                     Context* context, const Bytes& bytes,
                                                     Bytes* response) {
  const std::shared_ptr<ControlCall> call = ControlCall::Start(service_, method, context, response);
  Request message;
  absl::Status received = service_.Admit(method, *context).status();
  if (received.ok()) received = ReceiveMessage(service_, bytes, &message);
  const absl::StatusOr<wire::ControlRequest> request =
      received.ok() ? wire::ToControlRequest(std::move(message)) : std::move(received);
  if (request.ok()) {
    (service_.core.*act)(request->model, request->parameters,
                         [call](const absl::Status& status) { call->End(status); });
  } else {
    call->End(request.status());
  }
  // Alive still: gRPC's share is dropped in OnDone, which follows this return.
  return call.get();
}

InferenceService::Reactor* InferenceService::ServerLive(Context* context, const Bytes* bytes,
                                                        Bytes* response) {
  return AnswerAtOnce<inference::ServerLiveRequest, inference::ServerLiveResponse>(
      service_, "ServerLive", context, bytes, response, [this](const auto&, auto* reply) {
        reply->set_live(service_.alive());
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::ServerReady(Context* context, const Bytes* bytes,
                                                         Bytes* response) {
  return AnswerAtOnce<inference::ServerReadyRequest, inference::ServerReadyResponse>(
      service_, "ServerReady", context, bytes, response, [this](const auto&, auto* reply) {
        reply->set_ready(service_.Ready());
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::ModelReady(Context* context, const Bytes* bytes,
                                                        Bytes* response) {
  return AnswerAtOnce<inference::ModelReadyRequest, inference::ModelReadyResponse>(
      service_, "ModelReady", context, bytes, response,
      [this](const auto& request, auto* reply) -> absl::Status {
        REPRISE_ASSIGN_OR_RETURN(const bool ready,
                                 service_.core.ModelReady(request.name(), request.version()));
        reply->set_ready(ready);
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::ServerMetadata(Context* context, const Bytes* bytes,
                                                            Bytes* response) {
  return AnswerAtOnce<inference::ServerMetadataRequest, inference::ServerMetadataResponse>(
      service_, "ServerMetadata", context, bytes, response, [](const auto&, auto* reply) {
        *reply = wire::ToServerMetadata();
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::ModelMetadata(Context* context, const Bytes* bytes,
                                                           Bytes* response) {
  return AnswerAtOnce<inference::ModelMetadataRequest, inference::ModelMetadataResponse>(
      service_, "ModelMetadata", context, bytes, response,
      [this](const auto& request, auto* reply) -> absl::Status {
        REPRISE_ASSIGN_OR_RETURN(const ModelDescription description,
                                 service_.core.Describe(request.name(), request.version()));
        *reply = wire::ToModelMetadata(description);
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::ModelInfer(Context* context, const Bytes* bytes,
                                                        Bytes* response) {
  return InferenceCall::Start(service_, ModelInferMethod(service_, WriteReply, "ModelInfer"),
                              context, bytes, response);
}

::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>*
InferenceService::ModelStreamInfer(Context* context) {
  const auto encode_error = [this](const absl::Status& error, RefusalReason,
                                   const RequestNames& names, ::grpc::ByteBuffer* response) {
    return SerializeMessage(StreamError(error, names), service_.max_send_bytes, response);
  };
  return InferenceStream::Open(
      service_,
      {.item = ModelInferMethod(service_, WriteStreamReply, "ModelStreamInfer"),
       .name = "ModelStreamInfer/stream",
       .encode_error = encode_error,
       .first_error_ends = WantsGrpcErrors(*context)},
      context);
}

InferenceService::Reactor* InferenceService::ModelConfig(Context* context, const Bytes* bytes,
                                                         Bytes* response) {
  return AnswerAtOnce<inference::ModelConfigRequest, inference::ModelConfigResponse>(
      service_, "ModelConfig", context, bytes, response,
      [this](const auto& request, auto* reply) -> absl::Status {
        REPRISE_ASSIGN_OR_RETURN(const ModelDescription description,
                                 service_.core.Describe(request.name(), request.version()));
        *reply->mutable_config() = wire::ToModelConfig(description);
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::RepositoryIndex(Context* context, const Bytes* bytes,
                                                             Bytes* response) {
  return AnswerAtOnce<inference::RepositoryIndexRequest, inference::RepositoryIndexResponse>(
      service_, "RepositoryIndex", context, bytes, response,
      [this](const auto& request, auto* reply) -> absl::Status {
        REPRISE_ASSIGN_OR_RETURN(*reply, wire::ToRepositoryIndex(service_.core.Index(), request));
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::ModelStatistics(Context* context, const Bytes* bytes,
                                                             Bytes* response) {
  return AnswerAtOnce<inference::ModelStatisticsRequest, inference::ModelStatisticsResponse>(
      service_, "ModelStatistics", context, bytes, response,
      [this](const auto& request, auto* reply) -> absl::Status {
        REPRISE_ASSIGN_OR_RETURN(const std::vector<VersionStatistics> versions,
                                 SelectStatistics(service_.statistics, service_.core,
                                                  request.name(), request.version()));
        for (const VersionStatistics& version : versions) {
          *reply->add_model_stats() = wire::ToModelStatistics(version);
        }
        return absl::OkStatus();
      });
}

InferenceService::Reactor* InferenceService::LogSettings(Context* context, const Bytes* bytes,
                                                         Bytes* response) {
  return AnswerAtOnce<inference::LogSettingsRequest, inference::LogSettingsResponse>(
      service_, "LogSettings", context, bytes, response, [this](const auto& request, auto* reply) {
        return wire::ChangeLogSettings(request, service_.log, reply);
      });
}

InferenceService::Reactor* InferenceService::RepositoryModelLoad(Context* context,
                                                                 const Bytes* bytes,
                                                                 Bytes* response) {
  return Control<inference::RepositoryModelLoadRequest>(
      "RepositoryModelLoad", &ServingCore::LoadModel, context, *bytes, response);
}

InferenceService::Reactor* InferenceService::RepositoryModelUnload(Context* context,
                                                                   const Bytes* bytes,
                                                                   Bytes* response) {
  return Control<inference::RepositoryModelUnloadRequest>(
      "RepositoryModelUnload", &ServingCore::UnloadModel, context, *bytes, response);
}

InferenceService::Reactor* InferenceService::SystemSharedMemoryStatus(Context* context,
                                                                      const Bytes*, Bytes*) {
  return AnswerNotBuilt(service_, "SystemSharedMemoryStatus", context);
}

InferenceService::Reactor* InferenceService::SystemSharedMemoryRegister(Context* context,
                                                                        const Bytes*, Bytes*) {
  return AnswerNotBuilt(service_, "SystemSharedMemoryRegister", context);
}

InferenceService::Reactor* InferenceService::SystemSharedMemoryUnregister(Context* context,
                                                                          const Bytes*, Bytes*) {
  return AnswerNotBuilt(service_, "SystemSharedMemoryUnregister", context);
}

InferenceService::Reactor* InferenceService::CudaSharedMemoryStatus(Context* context, const Bytes*,
                                                                    Bytes*) {
  return AnswerNotBuilt(service_, "CudaSharedMemoryStatus", context);
}

InferenceService::Reactor* InferenceService::CudaSharedMemoryRegister(Context* context,
                                                                      const Bytes*, Bytes*) {
  return AnswerNotBuilt(service_, "CudaSharedMemoryRegister", context);
}

InferenceService::Reactor* InferenceService::CudaSharedMemoryUnregister(Context* context,
                                                                        const Bytes*, Bytes*) {
  return AnswerNotBuilt(service_, "CudaSharedMemoryUnregister", context);
}

InferenceService::Reactor* InferenceService::TraceSetting(Context* context, const Bytes*, Bytes*) {
  return AnswerNotBuilt(service_, "TraceSetting", context);
}

}  // namespace reprise::server::grpc
