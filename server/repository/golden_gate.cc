#include "server/repository/golden_gate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"

namespace reprise::server::repository {
namespace {

constexpr const char* kMismatchUrl = "reprise/golden_mismatch";

Tensor Ids(std::string_view name, const std::vector<std::int64_t>& ids) {
  Tensor tensor;
  tensor.name = std::string(name);
  tensor.datatype = DataType::kInt64;
  tensor.shape = {1, static_cast<std::int64_t>(ids.size())};
  tensor.raw.assign(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(ids[0]));
  return tensor;
}

std::vector<Tensor> Inputs(const GoldenSample& sample) {
  if (sample.text.has_value()) {
    Tensor text;
    text.name = std::string(pipeline::kText);
    text.datatype = DataType::kBytes;
    text.shape = {1};
    text.elements = {*sample.text};
    return {std::move(text)};
  }
  std::vector<Tensor> inputs = {Ids(pipeline::kInputIds, sample.input_ids)};
  if (!sample.token_type_ids.empty()) {
    inputs.push_back(Ids(pipeline::kTokenTypeIds, sample.token_type_ids));
  }
  return inputs;
}

absl::StatusOr<pipeline::PackedRows> Pack(const pipeline::NamedInputs& inputs,
                                          const ServableParts& parts) {
  const pipeline::InputRules rules = InputRulesOf(parts);
  if (inputs.text == nullptr) return pipeline::PackIds(inputs, rules);
  pipeline::PackedRows rows;
  const pipeline::EncodeText encode =
      parts.encode ? parts.encode : pipeline::EncodeWith(*parts.tokenizer);
  REPRISE_RETURN_IF_ERROR(pipeline::AppendText(inputs.text->elements.front(), /*truncate=*/false,
                                               encode, rules, &rows));
  return rows;
}

// The last dimension of a tensor of one row is a vector.
GoldenVectors Vectors(const Tensor& tensor) {
  const auto width = static_cast<std::size_t>(tensor.shape.back());
  GoldenVectors vectors(tensor.raw.size() / (width * sizeof(float)), std::vector<float>(width));
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    std::memcpy(vectors[i].data(), tensor.raw.data() + i * width * sizeof(float),
                width * sizeof(float));
  }
  return vectors;
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double product = 0;
  double a_squared = 0;
  double b_squared = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * b[i];
    a_squared += double{a[i]} * a[i];
    b_squared += double{b[i]} * b[i];
  }
  if (a_squared == 0 && b_squared == 0) return 1;  // equal
  return product / std::sqrt(a_squared * b_squared);
}

// `where` begins the message. Comparisons are written so that NaN fails them.
absl::Status Compare(const std::string& where, const std::vector<float>& found,
                     const std::vector<float>& expected, const GoldenTolerance& tolerance) {
  if (found.size() != expected.size()) {
    return GoldenMismatch(
        absl::StrCat(where, ": found ", found.size(), " values, expected ", expected.size()));
  }
  if (tolerance.max_abs.has_value()) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double difference = std::abs(double{found[i]} - expected[i]);
      if (!(difference <= *tolerance.max_abs)) {
        return GoldenMismatch(absl::StrCat(where, " at ", i, ": found ", found[i], ", expected ",
                                           expected[i], " within max_abs ", *tolerance.max_abs));
      }
    }
  }
  if (tolerance.min_cosine.has_value()) {
    // 1 asks for the same direction, which rounding misses by less than this.
    constexpr double kRounding = 1e-12;
    const double cosine = Cosine(found, expected);
    if (!(cosine >= *tolerance.min_cosine - kRounding)) {
      return GoldenMismatch(absl::StrCat(where, ": found cosine ", cosine,
                                         " with the expected values, expected at least min_cosine ",
                                         *tolerance.min_cosine));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSample(const std::string& where, const GoldenSample& sample,
                         const GoldenTolerance& tolerance, const ServableParts& parts,
                         batching::BatchRunner& runner) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : sample.outputs) names.push_back(name);
  const auto found = Answer(sample, names, parts, runner);
  if (!found.ok()) {
    return absl::Status(found.status().code(), absl::StrCat(where, ": ", found.status().message()));
  }
  for (const auto& [name, expected] : sample.outputs) {
    const GoldenVectors& vectors = found->at(name);
    const std::string output = absl::StrCat(where, ", output '", name, "'");
    if (vectors.size() != expected.size()) {
      return GoldenMismatch(
          absl::StrCat(output, ": found ", vectors.size(), " vectors, expected ", expected.size()));
    }
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      const std::string place = vectors.size() == 1 ? output : absl::StrCat(output, ", token ", i);
      REPRISE_RETURN_IF_ERROR(Compare(place, vectors[i], expected[i], tolerance));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GoldenMismatch(const std::string& message) {
  absl::Status status = absl::FailedPreconditionError(message);
  status.SetPayload(kMismatchUrl, absl::Cord());
  return status;
}

bool IsGoldenMismatch(const absl::Status& status) {
  return status.GetPayload(kMismatchUrl).has_value();
}

absl::StatusOr<std::map<std::string, GoldenVectors>> Answer(const GoldenSample& sample,
                                                            const std::vector<std::string>& outputs,
                                                            const ServableParts& parts,
                                                            batching::BatchRunner& runner) {
  const std::vector<Tensor> inputs = Inputs(sample);
  REPRISE_ASSIGN_OR_RETURN(const pipeline::NamedInputs named,
                           pipeline::NameInputs(inputs, InputRulesOf(parts)));
  REPRISE_ASSIGN_OR_RETURN(
      const pipeline::WantedOutputs wanted,
      pipeline::ChooseOutputs(outputs, sample.text.has_value(), parts.outputs));
  REPRISE_ASSIGN_OR_RETURN(const pipeline::PackedRows rows, Pack(named, parts));
  engine::Outputs found;
  REPRISE_RETURN_IF_ERROR(
      runner.Run({rows.cu_seqlens, rows.input_ids, rows.token_type_ids, rows.position_ids},
                 wanted.set, &found));
  std::map<std::string, GoldenVectors> answer;
  for (const Tensor& tensor : pipeline::TakeOutputs(wanted, rows, found, 0, 0)) {
    answer[tensor.name] = Vectors(tensor);
  }
  return answer;
}

absl::Status CheckGolden(const std::string& directory, const ServableParts& parts,
                         const std::stop_token& stop) {
  const std::string path = std::filesystem::path(directory) / kGoldenFile;
  const auto json = engine::weights::ReadJsonFile(path);
  if (absl::IsNotFound(json.status())) return absl::OkStatus();
  REPRISE_RETURN_IF_ERROR(json.status());
  const absl::StatusOr<GoldenFile> golden = ParseGolden(*json);
  if (!golden.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("'", path, "': ", golden.status().message()));
  }
  for (const auto& runner : parts.runners) {
    for (std::size_t i = 0; i < golden->samples.size(); ++i) {
      if (stop.stop_requested()) return absl::CancelledError("the server is stopping");
      absl::Status checked = CheckSample(absl::StrCat(kGoldenFile, " sample ", i),
                                         golden->samples[i], golden->tolerance, parts, *runner);
      if (!checked.ok()) return checked;
    }
  }
  return absl::OkStatus();
}

}  // namespace reprise::server::repository
