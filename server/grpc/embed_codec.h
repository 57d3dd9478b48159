// Embed calls between reprise.v1 and the server's own request and reply.
#pragma once

#include "absl/status/status.h"
#include "reprise/v1/reprise.pb.h"
#include "server/grpc/inference_run.h"
#include "server/request/inference_request.h"

namespace reprise::server::grpc {

// One BYTES input `text` [number of texts], one output `sentence_embedding`. InvalidArgument
// without a text, or for a timeout that is not > 0.
absl::Status DecodeEmbed(v1::EmbedRequest message, InferenceRequest* request);

// Internal unless the reply is one FP32 tensor [number of texts, hidden_size]. `encode_start` is
// when the server began to write this reply.
absl::Status EncodeEmbed(const InferenceReply& reply, const CallTimes& times,
                         SteadyClock::time_point encode_start, v1::EmbedResponse* message);

}  // namespace reprise::server::grpc
