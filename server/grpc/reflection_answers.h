// What server reflection says: which services there are, and the definitions they are made of.
#pragma once

#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "grpc/reflection/v1/reflection.pb.h"

namespace reprise::server::grpc {

// Immutable, thread-safe.
class ReflectionAnswers {
 public:
  // `services` are full names, in the order to list them. `pool` must outlive this object.
  ReflectionAnswers(std::vector<std::string> services, const google::protobuf::DescriptorPool& pool)
      : services_(std::move(services)), pool_(pool) {}

  // Never fails: what is wrong with a request is said in the answer's error_response.
  ::grpc::reflection::v1::ServerReflectionResponse Answer(
      const ::grpc::reflection::v1::ServerReflectionRequest& request) const;

 private:
  std::vector<std::string> services_;
  const google::protobuf::DescriptorPool& pool_;
};

}  // namespace reprise::server::grpc
