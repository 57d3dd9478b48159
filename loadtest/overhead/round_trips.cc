#include "loadtest/overhead/round_trips.h"

#include <future>
#include <utility>

#include "absl/strings/str_cat.h"

namespace reprise::loadtest {

RoundTrips::RoundTrips(int port, std::string method, ::grpc::ByteBuffer request)
    : method_(std::move(method)),
      request_(std::move(request)),
      stub_(::grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                                  ::grpc::InsecureChannelCredentials())) {}

absl::Status RoundTrips::Run(int calls, std::vector<std::chrono::nanoseconds>* times) {
  for (int i = 0; i < calls; ++i) {
    ::grpc::ClientContext context;
    ::grpc::ByteBuffer reply;
    std::promise<::grpc::Status> ended;
    const auto start = std::chrono::steady_clock::now();
    stub_.UnaryCall(&context, method_, ::grpc::StubOptions(), &request_, &reply,
                    [&ended](::grpc::Status status) { ended.set_value(std::move(status)); });
    const ::grpc::Status status = ended.get_future().get();
    times->push_back(std::chrono::steady_clock::now() - start);
    if (!status.ok()) {
      return absl::InternalError(absl::StrCat(method_, ": ", status.error_message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace reprise::loadtest
