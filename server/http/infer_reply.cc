#include "server/http/infer_reply.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "nlohmann/json.hpp"
#include "server/request/reply_timing.h"
#include "server/wire/size_limits.h"
#include "server/wire/tensor_elements.h"

namespace reprise::server::http {
namespace {

constexpr std::string_view kJsonLengthHeader = "Inference-Header-Content-Length";

template <typename Number>
void AppendNumber(Number value, std::string* json) {
  if constexpr (!std::numeric_limits<Number>::is_integer) {
    if (std::isnan(value)) {
      json->append("NaN");
      return;
    }
    if (std::isinf(value)) {
      json->append(value > 0 ? "Infinity" : "-Infinity");
      return;
    }
  }
  char text[32];
  const auto result = std::to_chars(text, text + sizeof(text), value);
  const std::string_view written(text, static_cast<std::size_t>(result.ptr - text));
  // Readers take "-0" for the integer 0, which has no sign.
  json->append(written == "-0" ? "-0.0" : written);
}

template <typename Number>
absl::Status AppendNumbers(const Tensor& tensor, std::string* json) {
  const std::size_t count = tensor.raw.size() / sizeof(Number);
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) json->push_back(',');
    Number value;
    std::memcpy(&value, tensor.raw.data() + i * sizeof(Number), sizeof(Number));
    AppendNumber(value, json);
  }
  return absl::OkStatus();
}

absl::Status AppendBools(const Tensor& tensor, std::string* json) {
  for (std::size_t i = 0; i < tensor.raw.size(); ++i) {
    if (i > 0) json->push_back(',');
    json->append(tensor.raw[i] != 0 ? "true" : "false");
  }
  return absl::OkStatus();
}

absl::Status AppendText(const std::string& text, std::string* json) {
  try {
    json->append(nlohmann::json(text).dump());
    return absl::OkStatus();
  } catch (const nlohmann::json::type_error&) {
    return absl::InvalidArgumentError("it holds bytes that are not UTF-8");
  }
}

absl::Status AppendTexts(const Tensor& tensor, std::string* json) {
  for (std::size_t i = 0; i < tensor.elements.size(); ++i) {
    if (i > 0) json->push_back(',');
    REPRISE_RETURN_IF_ERROR(AppendText(tensor.elements[i], json));
  }
  return absl::OkStatus();
}

// The elements without their brackets.
absl::Status AppendElements(const Tensor& tensor, std::string* json) {
  switch (tensor.datatype) {
    case DataType::kBool:
      return AppendBools(tensor, json);
    case DataType::kInt8:
      return AppendNumbers<std::int8_t>(tensor, json);
    case DataType::kInt16:
      return AppendNumbers<std::int16_t>(tensor, json);
    case DataType::kInt32:
      return AppendNumbers<std::int32_t>(tensor, json);
    case DataType::kInt64:
      return AppendNumbers<std::int64_t>(tensor, json);
    case DataType::kUint8:
      return AppendNumbers<std::uint8_t>(tensor, json);
    case DataType::kUint16:
      return AppendNumbers<std::uint16_t>(tensor, json);
    case DataType::kUint32:
      return AppendNumbers<std::uint32_t>(tensor, json);
    case DataType::kUint64:
      return AppendNumbers<std::uint64_t>(tensor, json);
    case DataType::kFp32:
      return AppendNumbers<float>(tensor, json);
    case DataType::kFp64:
      return AppendNumbers<double>(tensor, json);
    case DataType::kBytes:
      return AppendTexts(tensor, json);
    case DataType::kFp16:
    case DataType::kBf16:
      return absl::InvalidArgumentError(absl::StrCat("it is ", std::string(Name(tensor.datatype))));
  }
  return absl::InternalError("a datatype without a rule");
}

absl::Status AppendData(const Tensor& tensor, std::string* json) {
  json->append(",\"data\":[");
  if (const absl::Status status = AppendElements(tensor, json); !status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat("output '", tensor.name,
                                     "' cannot be written in JSON: ", std::string(status.message()),
                                     "; ask for it with the parameter binary_data"));
  }
  json->push_back(']');
  return absl::OkStatus();
}

bool WantsBinary(const ReplyWishes& wishes, const std::string& output) {
  const auto wish = wishes.binary.find(output);
  return wish == wishes.binary.end() ? wishes.binary_by_default : wish->second;
}

// Appends the output's JSON, and its bytes to `binary` where it is to be binary.
absl::Status AppendOutput(Tensor tensor, const ReplyWishes& wishes, std::string* json,
                          std::vector<std::string>* binary) {
  json->append("{\"name\":");
  REPRISE_RETURN_IF_ERROR(AppendText(tensor.name, json));
  absl::StrAppend(json, ",\"datatype\":\"", std::string(Name(tensor.datatype)), "\",\"shape\":[",
                  absl::StrJoin(tensor.shape, ","), "]");
  if (WantsBinary(wishes, tensor.name)) {
    REPRISE_ASSIGN_OR_RETURN(std::string raw, wire::ToRaw(std::move(tensor)));
    absl::StrAppend(json, ",\"parameters\":{\"binary_data_size\":", raw.size(), "}");
    binary->push_back(std::move(raw));
  } else {
    REPRISE_RETURN_IF_ERROR(AppendData(tensor, json));
  }
  json->push_back('}');
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Response> EncodeInfer(InferenceReply reply, const ReplyWishes& wishes,
                                     const std::vector<std::string>& labels,
                                     std::int64_t max_send_bytes) {
  REPRISE_RETURN_IF_ERROR(wire::ClassifyOutputs(wishes.classifications, labels, &reply));
  std::string json = "{\"model_name\":";
  REPRISE_RETURN_IF_ERROR(AppendText(reply.model_name, &json));
  json.append(",\"model_version\":");
  REPRISE_RETURN_IF_ERROR(AppendText(reply.model_version, &json));
  if (!reply.id.empty()) {
    json.append(",\"id\":");
    REPRISE_RETURN_IF_ERROR(AppendText(reply.id, &json));
  }
  if (wishes.timing) {
    json.append(",\"parameters\":{");
    const char* separator = "";
    for (const TimingParameter& parameter : TimingParameters(reply.timing)) {
      absl::StrAppend(&json, separator, "\"", std::string(parameter.name), "\":", parameter.value);
      separator = ",";
    }
    json.append("}");
  }
  json.append(",\"outputs\":[");
  std::vector<std::string> binary;
  for (std::size_t i = 0; i < reply.outputs.size(); ++i) {
    if (i > 0) json.push_back(',');
    REPRISE_RETURN_IF_ERROR(AppendOutput(std::move(reply.outputs[i]), wishes, &json, &binary));
  }
  json.append("]}");

  Response response;
  const std::size_t json_bytes = json.size();
  response.body.push_back(std::move(json));
  for (std::string& raw : binary) {
    if (!raw.empty()) response.body.push_back(std::move(raw));
  }
  if (response.body.size() > 1) {
    response.content_type = "application/octet-stream";
    response.headers.emplace_back(kJsonLengthHeader, absl::StrCat(json_bytes));
  }
  REPRISE_RETURN_IF_ERROR(
      wire::CheckReplyBytes(static_cast<std::int64_t>(response.body_bytes()), max_send_bytes));
  return response;
}

}  // namespace reprise::server::http
