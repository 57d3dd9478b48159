#include <cstdint>
#include <span>
#include <string>

#include "engine/check.h"
#include "google/protobuf/stubs/logging.h"
#include "server/grpc/infer_codec.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/tensor_promise.h"

namespace reprise::fuzz {

void FuzzModelInferRequest(std::span<const std::uint8_t> input) {
  // One line per text that is not UTF-8 would bury everything else.
  const google::protobuf::LogSilencer silencer;
  inference::ModelInferRequest message;
  if (!message.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
  server::InferenceRequest request;
  server::grpc::ReplyWishes wishes;
  const absl::Status decoded = server::grpc::DecodeModelInfer(message, &request, &wishes);
  if (!decoded.ok()) {
    REPRISE_CHECK(absl::IsInvalidArgument(decoded) || absl::IsUnimplemented(decoded));
    return;
  }
  REPRISE_CHECK(request.deadline >= request.arrival);
  REPRISE_CHECK(request.inputs.size() == static_cast<std::size_t>(message.inputs_size()));
  for (const server::Tensor& tensor : request.inputs) CheckTensor(tensor);

  // A reply that echoes the inputs can always be written, one raw entry for each.
  server::InferenceReply reply;
  reply.outputs = std::move(request.inputs);
  const std::size_t outputs = reply.outputs.size();
  inference::ModelInferResponse response;
  const absl::Status encoded =
      server::grpc::EncodeModelInfer(std::move(reply), wishes, {"a", "b"}, &response);
  if (!encoded.ok()) {
    REPRISE_CHECK(absl::IsInvalidArgument(encoded) && !wishes.classifications.empty());
    return;
  }
  REPRISE_CHECK(response.raw_output_contents_size() == static_cast<int>(outputs));
}

}  // namespace reprise::fuzz
