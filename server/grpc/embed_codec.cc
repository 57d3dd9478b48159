#include "server/grpc/embed_codec.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/wire/deadline.h"

namespace reprise::server::grpc {

absl::Status DecodeEmbed(v1::EmbedRequest message, InferenceRequest* request) {
  request->model_name = std::move(*message.mutable_model());
  request->model_version = message.version();
  request->truncate = message.truncate();
  request->output_names = {"sentence_embedding"};
  if (message.texts().empty()) {
    return absl::InvalidArgumentError("texts: found none, expected at least one");
  }
  if (message.has_timeout_us()) {
    if (message.timeout_us() <= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("timeout_us: found ", message.timeout_us(), ", expected > 0"));
    }
    request->deadline =
        std::min(request->deadline, wire::DeadlineAfter(request->arrival, message.timeout_us()));
  }
  Tensor text;
  text.name = "text";
  text.datatype = DataType::kBytes;
  text.shape = {message.texts_size()};
  text.elements.assign(std::make_move_iterator(message.mutable_texts()->begin()),
                       std::make_move_iterator(message.mutable_texts()->end()));
  request->inputs.push_back(std::move(text));
  return absl::OkStatus();
}

absl::Status EncodeEmbed(const InferenceReply& reply, const CallTimes& times,
                         SteadyClock::time_point encode_start, v1::EmbedResponse* message) {
  if (reply.outputs.size() != 1 || reply.outputs[0].datatype != DataType::kFp32 ||
      reply.outputs[0].shape.size() != 2) {
    return absl::InternalError("the model's answer is not one FP32 tensor [batch, hidden_size]");
  }
  const Tensor& vectors = reply.outputs[0];
  const std::int64_t batch_size = vectors.shape[0];
  const std::int64_t hidden_size = vectors.shape[1];
  for (std::int64_t row = 0; row < batch_size; ++row) {
    auto* values = message->add_embeddings()->mutable_values();
    values->Resize(static_cast<int>(hidden_size), 0.0f);
    const std::size_t row_bytes = hidden_size * sizeof(float);
    std::memcpy(values->mutable_data(), vectors.raw.data() + row * row_bytes, row_bytes);
  }
  message->set_model(reply.model_name);
  message->set_version(reply.model_version);
  message->set_tokens(reply.tokens);

  v1::TimeSplit* time = message->mutable_time();
  time->set_decode_ns(times.decode.count());
  time->set_tokenize_ns(reply.timing.tokenize.count());
  time->set_queue_ns(reply.timing.queue.count());
  time->set_compute_ns(reply.timing.compute.count());
  time->set_batch_rows(reply.timing.batch_rows);
  time->set_batch_tokens(reply.timing.batch_tokens);
  const SteadyClock::time_point now = SteadyClock::now();
  time->set_encode_ns(std::chrono::nanoseconds(now - encode_start).count());
  time->set_total_ns(std::chrono::nanoseconds(now - times.arrival).count());
  return absl::OkStatus();
}

}  // namespace reprise::server::grpc
