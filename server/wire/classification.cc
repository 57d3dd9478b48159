#include "server/wire/classification.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::wire {
namespace {

std::string ShortestText(float value) {
  char text[32];
  const auto result = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, result.ptr);
}

}  // namespace

absl::StatusOr<Tensor> Classify(const Tensor& scores, std::int64_t k,
                                const std::vector<std::string>& labels) {
  if (scores.datatype != DataType::kFp32 || scores.shape.size() != 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "output '", scores.name, "' cannot be classified: it is ",
        std::string(Name(scores.datatype)), " with ", scores.shape.size(),
        " dimensions, expected FP32 [batch, classes]; drop the parameter 'classification'"));
  }
  const std::int64_t batch_size = scores.shape[0];
  const std::int64_t num_classes = scores.shape[1];
  const std::int64_t kept = std::min(k, num_classes);
  Tensor result;
  result.name = scores.name;
  result.datatype = DataType::kBytes;
  result.shape = {batch_size, kept};
  result.elements.reserve(batch_size * kept);
  if (kept == 0) return result;  // without classes there are no bytes to look at either
  std::vector<float> row(num_classes);
  std::vector<std::int64_t> order(num_classes);
  for (std::int64_t b = 0; b < batch_size; ++b) {
    std::memcpy(row.data(), scores.raw.data() + b * num_classes * sizeof(float),
                num_classes * sizeof(float));
    std::iota(order.begin(), order.end(), 0);
    const auto higher = [&row](std::int64_t x, std::int64_t y) {
      if (std::isnan(row[x]) || std::isnan(row[y])) {
        return std::isnan(row[x]) != std::isnan(row[y]) ? std::isnan(row[y]) : x < y;
      }
      return row[x] != row[y] ? row[x] > row[y] : x < y;
    };
    std::partial_sort(order.begin(), order.begin() + kept, order.end(), higher);
    for (std::int64_t i = 0; i < kept; ++i) {
      const std::int64_t index = order[i];
      std::string element = absl::StrCat(ShortestText(row[index]), ":", index);
      if (index < static_cast<std::int64_t>(labels.size())) {
        absl::StrAppend(&element, ":", labels[index]);
      }
      result.elements.push_back(std::move(element));
    }
  }
  return result;
}

absl::Status ClassifyOutputs(const Classifications& wanted, const std::vector<std::string>& labels,
                             InferenceReply* reply) {
  const std::vector<std::string> none;
  for (Tensor& output : reply->outputs) {
    const auto wish = wanted.find(output.name);
    if (wish == wanted.end()) continue;
    REPRISE_ASSIGN_OR_RETURN(
        output, Classify(output, wish->second, output.name == "logits" ? labels : none));
  }
  return absl::OkStatus();
}

std::vector<std::string> LabelsOf(const ServingCore& core, const InferenceReply& reply) {
  const absl::StatusOr<ModelDescription> description =
      core.Describe(reply.model_name, reply.model_version);
  return description.ok() ? description->labels : std::vector<std::string>{};
}

}  // namespace reprise::server::wire
