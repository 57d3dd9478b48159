// reprise.v1.Reprise: texts to vectors, and what a model's reuse plan is and saves.
#pragma once

#include "reprise/v1/reprise.grpc.pb.h"
#include "server/grpc/raw_service.h"
#include "server/grpc/service_context.h"

namespace reprise::server::grpc {

using RepriseServiceBase =
    RawService<v1::Reprise::Service, v1::Reprise::WithRawCallbackMethod_Embed,
               v1::Reprise::WithRawCallbackMethod_EmbedStream,
               v1::Reprise::WithRawCallbackMethod_DescribeModel>;

// Thread-safe.
class RepriseService final : public RepriseServiceBase {
 public:
  explicit RepriseService(ServiceContext& service) : service_(service) {}

 private:
  ::grpc::ServerUnaryReactor* Embed(::grpc::CallbackServerContext* context,
                                    const ::grpc::ByteBuffer* bytes,
                                    ::grpc::ByteBuffer* response) override;
  ::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>* EmbedStream(
      ::grpc::CallbackServerContext* context) override;
  ::grpc::ServerUnaryReactor* DescribeModel(::grpc::CallbackServerContext* context,
                                            const ::grpc::ByteBuffer* bytes,
                                            ::grpc::ByteBuffer* response) override;

  ServiceContext& service_;
};

}  // namespace reprise::server::grpc
