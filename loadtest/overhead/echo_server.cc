#include "loadtest/overhead/echo_server.h"

#include <chrono>

#include "absl/status/status.h"
#include "grpcpp/generic/async_generic_service.h"

namespace reprise::loadtest {
namespace {

class Echo final : public ::grpc::ServerGenericBidiReactor {
 public:
  Echo() { StartRead(&bytes_); }
  void OnReadDone(bool ok) override {
    if (ok) {
      StartWriteAndFinish(&bytes_, {}, ::grpc::Status::OK);
    } else {
      Finish({::grpc::StatusCode::INTERNAL, "nothing came"});
    }
  }
  void OnDone() override { delete this; }

 private:
  ::grpc::ByteBuffer bytes_;
};

}  // namespace

class EchoServer::Service final : public ::grpc::CallbackGenericService {
  ::grpc::ServerGenericBidiReactor* CreateReactor(::grpc::GenericCallbackServerContext*) override {
    return new Echo;
  }
};

absl::StatusOr<std::unique_ptr<EchoServer>> EchoServer::Start() {
  std::unique_ptr<EchoServer> echo(new EchoServer);
  echo->service_ = std::make_unique<Service>();
  ::grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &echo->port_);
  builder.RegisterCallbackGenericService(echo->service_.get());
  echo->server_ = builder.BuildAndStart();
  if (echo->server_ == nullptr || echo->port_ == 0) {
    return absl::FailedPreconditionError("cannot open a port on 127.0.0.1");
  }
  return echo;
}

EchoServer::~EchoServer() {
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
}

}  // namespace reprise::loadtest
