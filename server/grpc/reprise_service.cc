#include "server/grpc/reprise_service.h"

#include <string_view>
#include <utility>

#include "engine/check.h"
#include "server/grpc/embed_codec.h"
#include "server/grpc/inference_call.h"
#include "server/grpc/inference_stream.h"
#include "server/grpc/message_bytes.h"
#include "server/grpc/model_report.h"
#include "server/grpc/status.h"
#include "server/grpc/unary_call.h"

namespace reprise::server::grpc {

namespace {

absl::Status WriteReply(const ServiceContext& service, v1::EmbedResponse message,
                        ::grpc::ByteBuffer* response) {
  return SerializeMessage(message, service.max_send_bytes, response);
}

absl::Status WriteStreamReply(const ServiceContext& service, v1::EmbedResponse message,
                              ::grpc::ByteBuffer* response) {
  v1::EmbedStreamResponse reply;
  *reply.mutable_response() = std::move(message);
  return SerializeMessage(reply, service.max_send_bytes, response);
}

// A request of `method`, whose replies `write` puts on the wire.
InferenceMethod EmbedMethod(const ServiceContext& service, decltype(WriteReply)& write,
                            std::string_view method) {
  const auto encode = [&service, &write](InferenceReply reply, const CallTimes& times,
                                         ::grpc::ByteBuffer* out) -> absl::Status {
    const SteadyClock::time_point start = SteadyClock::now();
    v1::EmbedResponse message;
    REPRISE_RETURN_IF_ERROR(EncodeEmbed(reply, times, start, &message));
    return write(service, std::move(message), out);
  };
  const auto decode = [encode](const ::grpc::ByteBuffer& bytes, InferenceRequest* request,
                               InferenceMethod::Encode* to_reply) -> absl::Status {
    v1::EmbedRequest message;
    REPRISE_RETURN_IF_ERROR(ParseMessage(bytes, &message));
    *to_reply = encode;
    return DecodeEmbed(std::move(message), request);
  };
  return {.name = method, .decode = decode};
}

}  // namespace

::grpc::ServerUnaryReactor* RepriseService::Embed(::grpc::CallbackServerContext* context,
                                                  const ::grpc::ByteBuffer* bytes,
                                                  ::grpc::ByteBuffer* response) {
  return InferenceCall::Start(service_, EmbedMethod(service_, WriteReply, "Embed"), context, bytes,
                              response);
}

::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>* RepriseService::EmbedStream(
    ::grpc::CallbackServerContext* context) {
  const auto encode_error = [this](const absl::Status& error, RefusalReason refusal,
                                   const RequestNames&, ::grpc::ByteBuffer* response) {
    v1::EmbedStreamResponse reply;
    *reply.mutable_error() = ToRpcStatus(error, refusal);
    return SerializeMessage(reply, service_.max_send_bytes, response);
  };
  return InferenceStream::Open(service_,
                               {.item = EmbedMethod(service_, WriteStreamReply, "EmbedStream"),
                                .name = "EmbedStream/stream",
                                .encode_error = encode_error},
                               context);
}

::grpc::ServerUnaryReactor* RepriseService::DescribeModel(::grpc::CallbackServerContext* context,
                                                          const ::grpc::ByteBuffer* bytes,
                                                          ::grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::DescribeModelRequest, v1::DescribeModelResponse>(
      service_, "DescribeModel", context, bytes, response,
      [this](const v1::DescribeModelRequest& request,
             v1::DescribeModelResponse* reply) -> absl::Status {
        REPRISE_ASSIGN_OR_RETURN(const ModelDescription description,
                                 service_.core.Describe(request.model(), request.version()));
        REPRISE_ASSIGN_OR_RETURN(
            *reply, grpc::DescribeModel(
                        description, {request.sequence_lengths().data(),
                                      static_cast<std::size_t>(request.sequence_lengths_size())}));
        return absl::OkStatus();
      });
}

}  // namespace reprise::server::grpc
