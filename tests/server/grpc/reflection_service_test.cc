#include "server/grpc/reflection_service.h"

#include <set>
#include <string>

#include "google/protobuf/descriptor.pb.h"
#include "tests/server/grpc/server_fixture.h"

namespace reprise::server::grpc {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

template <typename Service>
struct Version;
template <>
struct Version<::grpc::reflection::v1::ServerReflection> {
  using Request = ::grpc::reflection::v1::ServerReflectionRequest;
  using Response = ::grpc::reflection::v1::ServerReflectionResponse;
};
template <>
struct Version<::grpc::reflection::v1alpha::ServerReflection> {
  using Request = ::grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = ::grpc::reflection::v1alpha::ServerReflectionResponse;
};

template <typename Service>
class ReflectionServiceTest : public testing::ServerFixture {
 protected:
  using Request = typename Version<Service>::Request;
  using Response = typename Version<Service>::Response;

  void SetUp() override {
    StartServer();
    stub_ = Service::NewStub(channel_);
    stream_ = stub_->ServerReflectionInfo(&context_);
  }
  Response Ask(const Request& request) {
    EXPECT_TRUE(stream_->Write(request));
    Response response;
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }

  ::grpc::ClientContext context_;
  std::unique_ptr<typename Service::Stub> stub_;
  std::unique_ptr<::grpc::ClientReaderWriter<Request, Response>> stream_;
};

using Versions = ::testing::Types<::grpc::reflection::v1::ServerReflection,
                                  ::grpc::reflection::v1alpha::ServerReflection>;
TYPED_TEST_SUITE(ReflectionServiceTest, Versions);

TYPED_TEST(ReflectionServiceTest, ListsEveryService) {
  typename TestFixture::Request request;
  request.set_list_services("");
  const auto response = this->Ask(request);
  std::set<std::string> names;
  for (const auto& service : response.list_services_response().service()) {
    names.insert(service.name());
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"inference.GRPCInferenceService", "reprise.v1.Reprise",
                                   "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                                   "grpc.reflection.v1alpha.ServerReflection"}));
}

TYPED_TEST(ReflectionServiceTest, SendsAFileWithWhatItImports) {
  typename TestFixture::Request request;
  request.set_file_containing_symbol("inference.GRPCInferenceService.ModelInfer");
  const auto response = this->Ask(request);
  const auto& files = response.file_descriptor_response().file_descriptor_proto();
  ASSERT_EQ(files.size(), 2);
  google::protobuf::FileDescriptorProto first;
  ASSERT_TRUE(first.ParseFromString(files[0]));
  EXPECT_EQ(first.name(), "inference/grpc_service.proto");
}

TYPED_TEST(ReflectionServiceTest, AnswersSeveralRequestsOnOneStream) {
  typename TestFixture::Request request;
  request.set_file_by_filename("reprise/v1/reprise.proto");
  EXPECT_TRUE(this->Ask(request).has_file_descriptor_response());
  request.set_file_by_filename("no/such.proto");
  const auto response = this->Ask(request);
  EXPECT_EQ(response.error_response().error_code(), ::grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(response.error_response().error_message(), HasSubstr("no/such.proto"));
  this->stream_->WritesDone();
  EXPECT_TRUE(this->stream_->Finish().ok());
  EXPECT_EQ(this->observer_.rpcs().size(), 1u);
}

TYPED_TEST(ReflectionServiceTest, AnOpenStreamDoesNotHoldUpTheEnd) {
  typename TestFixture::Request request;
  request.set_list_services("");
  this->Ask(request);
  const auto start = SteadyClock::now();
  this->server_->Shutdown(start + testing::seconds(30));
  EXPECT_LT(SteadyClock::now() - start, testing::seconds(1));
  EXPECT_EQ(this->stream_->Finish().error_code(), ::grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace reprise::server::grpc
