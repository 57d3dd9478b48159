#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/check.h"
#include "server/http/infer_reply.h"
#include "server/http/infer_request.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/tensor_promise.h"
#include "tests/server/fakes/fake_core.h"

namespace reprise::fuzz {

void FuzzHttpInferBody(std::span<const std::uint8_t> input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const std::size_t line_end = std::min(text.find('\n'), text.size());
  std::optional<std::string_view> json_length;
  if (line_end > 0) json_length = text.substr(0, line_end);
  const std::string_view body = text.substr(std::min(line_end + 1, text.size()));

  server::testing::FakeCore core;
  core.description().inputs = {{"input_ids", server::DataType::kInt64, {-1, -1}, false},
                               {"attention_mask", server::DataType::kInt64, {-1, -1}, true}};
  server::InferenceRequest request;
  request.model_name = "demo";
  server::http::ReplyWishes wishes;
  const absl::Status decoded =
      server::http::DecodeInfer(std::string(body), json_length, core, &request, &wishes);
  if (!decoded.ok()) {
    REPRISE_CHECK(absl::IsInvalidArgument(decoded) || absl::IsUnimplemented(decoded));
    return;
  }
  REPRISE_CHECK(request.deadline >= request.arrival);
  for (const server::Tensor& tensor : request.inputs) CheckTensor(tensor);

  // A reply that echoes the inputs: as bytes always, as JSON what JSON can hold.
  server::InferenceReply reply;
  reply.outputs = std::move(request.inputs);
  wishes.classifications.clear();
  wishes.binary.clear();
  constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
  wishes.binary_by_default = true;
  REPRISE_CHECK(server::http::EncodeInfer(reply, wishes, {}, kNoLimit).ok());
  wishes.binary_by_default = false;
  const auto json = server::http::EncodeInfer(std::move(reply), wishes, {}, kNoLimit);
  REPRISE_CHECK(json.ok() || absl::IsInvalidArgument(json.status()));
}

}  // namespace reprise::fuzz
