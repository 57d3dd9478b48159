#include "server/grpc/message_bytes.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/proto_buffer_writer.h"
#include "server/wire/size_limits.h"

namespace reprise::server::grpc {

absl::Status ParseMessage(const ::grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  ::grpc::ByteBuffer shared = bytes;  // a reference: the reader wants a buffer it may consume
  ::grpc::ProtoBufferReader reader(&shared);
  if (!reader.status().ok() || !message->ParseFromZeroCopyStream(&reader)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", bytes.Length(), " bytes of the request are not a valid ",
                     message->GetDescriptor()->full_name(),
                     " message; was the client built from another definition?"));
  }
  return absl::OkStatus();
}

absl::Status SerializeMessage(const google::protobuf::Message& message, std::int64_t max_bytes,
                              ::grpc::ByteBuffer* bytes) {
  REPRISE_RETURN_IF_ERROR(
      wire::CheckReplyBytes(static_cast<std::int64_t>(message.ByteSizeLong()), max_bytes));
  bytes->Clear();  // the writer insists on an empty one
  bool own_buffer = false;
  const ::grpc::Status status =
      ::grpc::GenericSerialize<::grpc::ProtoBufferWriter, google::protobuf::Message>(message, bytes,
                                                                                     &own_buffer);
  if (!status.ok()) {
    return absl::InternalError(
        absl::StrCat("cannot serialize the reply: ", status.error_message()));
  }
  return absl::OkStatus();
}

}  // namespace reprise::server::grpc
