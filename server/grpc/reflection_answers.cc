#include "server/grpc/reflection_answers.h"

#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpcpp/support/status.h"

namespace reprise::server::grpc {
namespace {

using google::protobuf::FileDescriptor;
using ::grpc::reflection::v1::ServerReflectionRequest;
using ::grpc::reflection::v1::ServerReflectionResponse;

void SetError(::grpc::StatusCode code, const std::string& message,
              ServerReflectionResponse* response) {
  response->mutable_error_response()->set_error_code(code);
  response->mutable_error_response()->set_error_message(message);
}

// Appends `file` after everything it imports, each file once.
void AppendWithImports(const FileDescriptor& file, std::set<std::string>* seen,
                       ServerReflectionResponse* response) {
  if (!seen->insert(file.name()).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) {
    AppendWithImports(*file.dependency(i), seen, response);
  }
  google::protobuf::FileDescriptorProto definition;
  file.CopyTo(&definition);
  response->mutable_file_descriptor_response()->add_file_descriptor_proto(
      definition.SerializeAsString());
}

// Clients take the first file of the answer for the one they asked for.
void SetFile(const FileDescriptor* file, const std::string& what,
             ServerReflectionResponse* response) {
  if (file == nullptr) {
    return SetError(::grpc::StatusCode::NOT_FOUND, absl::StrCat(what, " is not known here"),
                    response);
  }
  std::set<std::string> seen;
  AppendWithImports(*file, &seen, response);
  auto* files = response->mutable_file_descriptor_response()->mutable_file_descriptor_proto();
  for (int i = files->size() - 1; i > 0; --i) files->SwapElements(i, i - 1);
}

}  // namespace

ServerReflectionResponse ReflectionAnswers::Answer(const ServerReflectionRequest& request) const {
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kListServices:
      for (const std::string& service : services_) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case ServerReflectionRequest::kFileByFilename:
      SetFile(pool_.FindFileByName(request.file_by_filename()),
              absl::StrCat("file '", request.file_by_filename(), "'"), &response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      SetFile(pool_.FindFileContainingSymbol(request.file_containing_symbol()),
              absl::StrCat("symbol '", request.file_containing_symbol(), "'"), &response);
      break;
    case ServerReflectionRequest::kFileContainingExtension:
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      SetError(::grpc::StatusCode::NOT_FOUND, "no message of these services has extensions",
               &response);
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      SetError(::grpc::StatusCode::INVALID_ARGUMENT,
               "found no message_request, expected for example list_services", &response);
      break;
  }
  return response;
}

}  // namespace reprise::server::grpc
