// Answers calls to methods that no service here has.
#pragma once

#include "grpcpp/generic/async_generic_service.h"
#include "server/grpc/service_context.h"

namespace reprise::server::grpc {

// UNIMPLEMENTED, counted as "_unknown": the method's own name is the caller's to choose and would
// make metric series without bound. Thread-safe.
class UnknownMethods final : public ::grpc::CallbackGenericService {
 public:
  explicit UnknownMethods(ServiceContext& service) : service_(service) {}

 private:
  ::grpc::ServerGenericBidiReactor* CreateReactor(
      ::grpc::GenericCallbackServerContext* context) override;

  ServiceContext& service_;
};

}  // namespace reprise::server::grpc
