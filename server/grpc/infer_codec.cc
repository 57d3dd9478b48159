#include "server/grpc/infer_codec.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/grpc/tensor_codec.h"
#include "server/request/reply_timing.h"
#include "server/wire/classification.h"
#include "server/wire/request_parameters.h"
#include "server/wire/tensor_elements.h"

namespace reprise::server::grpc {
namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;

absl::Status DecodeInputs(ModelInferRequest* message, InferenceRequest* request) {
  const bool raw = message->raw_input_contents_size() > 0;
  if (raw && message->raw_input_contents_size() != message->inputs_size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "found ", message->raw_input_contents_size(), " entries of raw_input_contents for ",
        message->inputs_size(), " inputs; expected one for each"));
  }
  request->inputs.reserve(message->inputs_size());
  for (int i = 0; i < message->inputs_size(); ++i) {
    ModelInferRequest::InferInputTensor& input = *message->mutable_inputs(i);
    REPRISE_RETURN_IF_ERROR(wire::CheckTensorParameters(input.parameters()));
    if (raw && input.has_contents()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "input '", input.name(),
          "' has `contents` in a request with raw_input_contents; use one of the two throughout"));
    }
    absl::StatusOr<Tensor> tensor =
        raw ? DecodeRawTensor(input, std::move(*message->mutable_raw_input_contents(i)))
            : DecodeTypedTensor(std::move(input));
    REPRISE_RETURN_IF_ERROR(tensor.status());
    request->inputs.push_back(*std::move(tensor));
  }
  return wire::CheckInputNames(request->inputs);
}

absl::Status DecodeOutputs(const ModelInferRequest& message, InferenceRequest* request,
                           ReplyWishes* wishes) {
  for (const auto& output : message.outputs()) {
    REPRISE_RETURN_IF_ERROR(wire::CheckTensorParameters(output.parameters()));
    REPRISE_ASSIGN_OR_RETURN(const std::int64_t classes,
                             wire::ReadClassification(output.parameters()));
    if (classes > 0) {
      wishes->classifications[output.name()] = classes;
    }
    request->output_names.push_back(output.name());
  }
  return wire::CheckOutputNames(request->output_names);
}

}  // namespace

absl::Status DecodeModelInfer(ModelInferRequest message, InferenceRequest* request,
                              ReplyWishes* wishes) {
  request->model_name = std::move(*message.mutable_model_name());
  request->model_version = std::move(*message.mutable_model_version());
  request->id = std::move(*message.mutable_id());
  REPRISE_RETURN_IF_ERROR(wire::ReadRequestParameters(message.parameters(), request));
  REPRISE_ASSIGN_OR_RETURN(wishes->timing, wire::ReadTimingWish(message.parameters()));
  REPRISE_RETURN_IF_ERROR(DecodeOutputs(message, request, wishes));
  return DecodeInputs(&message, request);
}

absl::Status EncodeModelInfer(InferenceReply reply, const ReplyWishes& wishes,
                              const std::vector<std::string>& labels, ModelInferResponse* message) {
  REPRISE_RETURN_IF_ERROR(wire::ClassifyOutputs(wishes.classifications, labels, &reply));
  message->set_model_name(std::move(reply.model_name));
  message->set_model_version(std::move(reply.model_version));
  message->set_id(std::move(reply.id));
  if (wishes.timing) {
    for (const TimingParameter& parameter : TimingParameters(reply.timing)) {
      (*message->mutable_parameters())[std::string(parameter.name)].set_int64_param(
          parameter.value);
    }
  }
  for (Tensor& tensor : reply.outputs) {
    ModelInferResponse::InferOutputTensor* output = message->add_outputs();
    output->set_name(tensor.name);
    output->set_datatype(std::string(Name(tensor.datatype)));
    output->mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
    REPRISE_ASSIGN_OR_RETURN(*message->add_raw_output_contents(), wire::ToRaw(std::move(tensor)));
  }
  return absl::OkStatus();
}

inference::ModelStreamInferResponse StreamReply(ModelInferResponse response) {
  inference::ModelStreamInferResponse reply;
  *reply.mutable_infer_response() = std::move(response);
  (*reply.mutable_infer_response()->mutable_parameters())["triton_final_response"].set_bool_param(
      true);
  return reply;
}

inference::ModelStreamInferResponse StreamError(const absl::Status& error,
                                                const RequestNames& names) {
  ModelInferResponse response;
  response.set_model_name(names.model);
  response.set_model_version(names.version);
  response.set_id(names.id);
  (*response.mutable_parameters())["reprise_grpc_code"].set_int64_param(error.raw_code());
  inference::ModelStreamInferResponse reply = StreamReply(std::move(response));
  reply.set_error_message(std::string(error.message()));
  return reply;
}

}  // namespace reprise::server::grpc
