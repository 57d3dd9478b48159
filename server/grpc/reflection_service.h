// grpc.reflection in both versions that clients ask for: v1 and the older v1alpha.
#pragma once

#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/grpc/raw_service.h"
#include "server/grpc/reflection_answers.h"
#include "server/grpc/service_context.h"

namespace reprise::server::grpc {

// Opens a stream that answers each request with one response; the messages of the two versions
// have the same bytes.
::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>* OpenReflectionStream(
    ServiceContext& service, const ReflectionAnswers& answers,
    ::grpc::CallbackServerContext* context);

using ReflectionV1Base = RawService<
    ::grpc::reflection::v1::ServerReflection::Service,
    ::grpc::reflection::v1::ServerReflection::WithRawCallbackMethod_ServerReflectionInfo>;
using ReflectionV1AlphaBase = RawService<
    ::grpc::reflection::v1alpha::ServerReflection::Service,
    ::grpc::reflection::v1alpha::ServerReflection::WithRawCallbackMethod_ServerReflectionInfo>;

// `Base` is one of the two above. Not the library's v1alpha service: it holds a thread per open
// stream, and such a stream holds up a shutdown. Thread-safe.
template <typename Base>
class ReflectionService final : public Base {
 public:
  ReflectionService(ServiceContext& service, const ReflectionAnswers& answers)
      : service_(service), answers_(answers) {}

 private:
  ::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer>* ServerReflectionInfo(
      ::grpc::CallbackServerContext* context) override {
    return OpenReflectionStream(service_, answers_, context);
  }

  ServiceContext& service_;
  const ReflectionAnswers& answers_;
};

}  // namespace reprise::server::grpc
