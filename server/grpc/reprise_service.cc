#include "server/grpc/reprise_service.h"

#include <utility>

#include "engine/check.h"
#include "server/grpc/embed_codec.h"
#include "server/grpc/inference_call.h"
#include "server/grpc/message_bytes.h"
#include "server/grpc/model_report.h"
#include "server/grpc/unary_call.h"

namespace reprise::server::grpc {

::grpc::ServerUnaryReactor* RepriseService::Embed(::grpc::CallbackServerContext* context,
                                                  const ::grpc::ByteBuffer* bytes,
                                                  ::grpc::ByteBuffer* response) {
  const auto encode = [this](InferenceReply reply, const CallTimes& times,
                             ::grpc::ByteBuffer* out) -> absl::Status {
    const SteadyClock::time_point start = SteadyClock::now();
    v1::EmbedResponse message;
    REPRISE_RETURN_IF_ERROR(EncodeEmbed(reply, times, start, &message));
    return SerializeMessage(message, service_.max_send_bytes, out);
  };
  const InferenceMethod method{
      .name = "Embed",
      .decode = [&encode](const ::grpc::ByteBuffer& request_bytes, InferenceRequest* request,
                          InferenceMethod::Encode* to_reply) -> absl::Status {
        v1::EmbedRequest message;
        REPRISE_RETURN_IF_ERROR(ParseMessage(request_bytes, &message));
        *to_reply = encode;
        return DecodeEmbed(std::move(message), request);
      }};
  return InferenceCall::Start(service_, method, context, bytes, response);
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
