// Protobuf messages to and from the bytes that gRPC hands over.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace reprise::server::grpc {

// InvalidArgument when the bytes are not a message of this type, or a text in it is not UTF-8.
absl::Status ParseMessage(const ::grpc::ByteBuffer& bytes, google::protobuf::Message* message);

// ResourceExhausted when the message takes more than `max_bytes` (< 2 GiB).
absl::Status SerializeMessage(const google::protobuf::Message& message, std::int64_t max_bytes,
                              ::grpc::ByteBuffer* bytes);

}  // namespace reprise::server::grpc
