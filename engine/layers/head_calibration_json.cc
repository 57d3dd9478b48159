#include "engine/layers/head_calibration_json.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/device/cpu/isa.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::layers {
namespace {

using nlohmann::json;
using reuse::HeadTimes;

constexpr std::pair<const char*, double HeadTimes::*> kTimes[] = {
    {"compute_ns", &HeadTimes::compute},
    {"compute_stored_ns", &HeadTimes::compute_stored},
    {"compute_kept_ns", &HeadTimes::compute_kept},
    {"read_ns", &HeadTimes::read},
    {"recompute_ns", &HeadTimes::recompute}};

constexpr std::pair<const char*, DType> kFormats[] = {{"fp32", DType::kF32},
                                                      {"bf16", DType::kBF16}};

const char* FormatName(DType dtype) { return dtype == DType::kBF16 ? "bf16" : "fp32"; }

constexpr int kMostThreads = 1024, kMostHeads = 1024, kMostHeadDim = 1 << 16;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

// Reads one object of the file; every error names the file, the key, what was found and expected.
class Reader {
 public:
  Reader(const std::string& path, const json& object) : path_(path), object_(object) {}

  absl::StatusOr<std::int64_t> Whole(const char* key, std::int64_t most) const {
    const json value = Value(key);
    if (value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
        value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)) {
      return value.get<std::int64_t>();
    }
    return Wrong(key, absl::StrCat("a whole number from 1 to ", most));
  }
  absl::StatusOr<double> Time(const char* key) const {
    const json value = Value(key);
    if (value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() > 0) {
      return value.get<double>();
    }
    return Wrong(key, "nanoseconds above 0");
  }
  absl::StatusOr<DType> Format(const char* key) const {
    const json value = Value(key);
    for (const auto& [name, dtype] : kFormats) {
      if (value == name) return dtype;
    }
    return Wrong(key, "\"fp32\" or \"bf16\"");
  }
  absl::StatusOr<json> List(const char* key) const {
    json value = Value(key);
    if (value.is_array() && !value.empty()) return value;
    return Wrong(key, "a list that is not empty");
  }
  absl::Status Wrong(const char* key, const std::string& expected) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": ", key, " is ", weights::JsonText(Value(key)), "; expected ",
                     expected, ": measure it again with reprise bench --calibrate"));
  }

 private:
  json Value(const char* key) const {
    return object_.is_object() && object_.contains(key) ? object_.at(key) : json();
  }
  const std::string& path_;
  const json& object_;
};

absl::StatusOr<HeadTimes> ReadTimes(const std::string& path, const json& object) {
  const Reader reader(path, object);
  HeadTimes times;
  REPRISE_ASSIGN_OR_RETURN(times.seq_len, reader.Whole("seq_len", kMostTokens));
  for (const auto& [key, part] : kTimes) {
    REPRISE_ASSIGN_OR_RETURN(times.*part, reader.Time(key));
  }
  return times;
}

absl::StatusOr<HeadCalibration> ReadHeads(const std::string& path, const json& object) {
  const Reader reader(path, object);
  HeadCalibration calibration;
  HeadKind& kind = calibration.kind;
  REPRISE_ASSIGN_OR_RETURN(kind.precision, reader.Format("precision"));
  REPRISE_ASSIGN_OR_RETURN(kind.score_format, reader.Format("score_format"));
  REPRISE_ASSIGN_OR_RETURN(kind.head_dim, reader.Whole("head_dim", kMostHeadDim));
  REPRISE_ASSIGN_OR_RETURN(const std::int64_t heads, reader.Whole("heads", kMostHeads));
  REPRISE_ASSIGN_OR_RETURN(const std::int64_t threads, reader.Whole("threads", kMostThreads));
  kind.heads = static_cast<int>(heads);
  kind.threads = static_cast<int>(threads);
  REPRISE_ASSIGN_OR_RETURN(const json lengths, reader.List("lengths"));
  for (const json& length : lengths) {
    REPRISE_ASSIGN_OR_RETURN(const HeadTimes times, ReadTimes(path, length));
    if (!calibration.times.empty() && times.seq_len <= calibration.times.back().seq_len) {
      return reader.Wrong("lengths", "ascending seq_len");
    }
    calibration.times.push_back(times);
  }
  return calibration;
}

}  // namespace

json ToJson(const std::vector<HeadCalibration>& calibrations) {
  json heads = json::array();
  for (const HeadCalibration& calibration : calibrations) {
    json lengths = json::array();
    for (const HeadTimes& times : calibration.times) {
      json length = {{"seq_len", times.seq_len}};
      for (const auto& [key, part] : kTimes) length[key] = times.*part;
      lengths.push_back(std::move(length));
    }
    const HeadKind& kind = calibration.kind;
    heads.push_back({{"precision", FormatName(kind.precision)},
                     {"score_format", FormatName(kind.score_format)},
                     {"head_dim", kind.head_dim},
                     {"heads", kind.heads},
                     {"threads", kind.threads},
                     {"lengths", std::move(lengths)}});
  }
  return {{"isa", std::string(device::Name(device::ActiveCpuIsa()))}, {"kinds", heads}};
}

absl::Status WriteCalibration(const std::vector<HeadCalibration>& calibrations,
                              const std::string& path) {
  return weights::WriteJsonFile(path, ToJson(calibrations));
}

absl::StatusOr<std::vector<HeadCalibration>> ReadCalibration(const std::string& path) {
  REPRISE_ASSIGN_OR_RETURN(const json document, weights::ReadJsonFile(path));
  return ParseCalibration(document, path);
}

absl::StatusOr<std::vector<HeadCalibration>> ParseCalibration(const json& document,
                                                              const std::string& path) {
  const Reader reader(path, document);
  const std::string active(device::Name(device::ActiveCpuIsa()));
  if (document.is_object() && document.contains("isa") && document["isa"] != active) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " was measured with the instruction set ", weights::JsonText(document["isa"]),
        ", this process uses \"", active, "\": measure it here with reprise bench --calibrate"));
  }
  REPRISE_ASSIGN_OR_RETURN(const json kinds, reader.List("kinds"));
  std::vector<HeadCalibration> calibrations;
  for (const json& kind : kinds) {
    REPRISE_ASSIGN_OR_RETURN(HeadCalibration calibration, ReadHeads(path, kind));
    calibrations.push_back(std::move(calibration));
  }
  return calibrations;
}

}  // namespace reprise::engine::layers
