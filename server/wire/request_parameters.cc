#include "server/wire/request_parameters.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/request/reply_timing.h"
#include "server/wire/deadline.h"

namespace reprise::server::wire {
namespace {

using inference::InferParameter;

absl::Status WrongKind(std::string_view key, std::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("parameter '", std::string(key), "': expected ", std::string(expected)));
}

// Clients differ in the signedness of the field they use. Values beyond int64 become its maximum.
absl::StatusOr<std::int64_t> ReadCount(std::string_view key, const InferParameter& value) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (value.parameter_choice_case() == InferParameter::kUint64Param) {
    return static_cast<std::int64_t>(
        std::min<std::uint64_t>(value.uint64_param(), static_cast<std::uint64_t>(kMax)));
  }
  if (value.parameter_choice_case() != InferParameter::kInt64Param || value.int64_param() < 0) {
    return WrongKind(key, "an integer >= 0 in int64_param or uint64_param");
  }
  return value.int64_param();
}

absl::StatusOr<bool> ReadBool(std::string_view key, const InferParameter& value) {
  if (value.parameter_choice_case() != InferParameter::kBoolParam) {
    return WrongKind(key, "a bool in bool_param");
  }
  return value.bool_param();
}

absl::Status ReadOne(const std::string& key, const InferParameter& value,
                     InferenceRequest* request) {
  if (key == "priority") {
    REPRISE_ASSIGN_OR_RETURN(const std::int64_t priority, ReadCount(key, value));
    request->priority = priority > std::numeric_limits<int>::max() ? 0 : static_cast<int>(priority);
  } else if (key == "timeout") {
    REPRISE_ASSIGN_OR_RETURN(const std::int64_t microseconds, ReadCount(key, value));
    if (microseconds > 0) {
      request->deadline =
          std::min(request->deadline, DeadlineAfter(request->arrival, microseconds));
    }
  } else if (key == "truncate") {
    REPRISE_ASSIGN_OR_RETURN(request->truncate, ReadBool(key, value));
  } else if (absl::StartsWith(key, "triton_") && key != "triton_enable_empty_final_response") {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter '", key, "' is reserved and not known to this server; remove it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadRequestParameters(const ParameterMap& parameters, InferenceRequest* request) {
  for (const auto& [key, value] : parameters) {
    REPRISE_RETURN_IF_ERROR(ReadOne(key, value, request));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ReadTimingWish(const ParameterMap& parameters) {
  const auto found = parameters.find(std::string(kTimingWish));
  if (found == parameters.end()) return false;
  return ReadBool(kTimingWish, found->second);
}

absl::Status CheckTensorParameters(const ParameterMap& parameters) {
  constexpr std::array kSharedMemory = {"shared_memory_region", "shared_memory_offset",
                                        "shared_memory_byte_size"};
  for (const char* key : kSharedMemory) {
    if (parameters.contains(key)) {
      return absl::UnimplementedError(absl::StrCat(
          "parameter '", key, "': shared memory is not supported; send the tensor in the message"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::int64_t> ReadClassification(const ParameterMap& parameters) {
  const auto found = parameters.find("classification");
  if (found == parameters.end()) {
    return 0;
  }
  REPRISE_ASSIGN_OR_RETURN(const std::int64_t k, ReadCount("classification", found->second));
  if (k == 0) {
    return WrongKind("classification", "the number of classes to return, at least 1");
  }
  return k;
}

}  // namespace reprise::server::wire
