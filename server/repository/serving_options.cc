#include "server/repository/serving_options.h"

#include <array>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/range_check.h"

namespace reprise::server::repository {
namespace {

template <typename Value, std::size_t kSize>
using Names = std::array<std::pair<std::string_view, Value>, kSize>;

constexpr Names<engine::Precision, 3> kPrecisions = {{{"auto", engine::Precision::kAuto},
                                                      {"fp32", engine::Precision::kF32},
                                                      {"bf16", engine::Precision::kBF16}}};
constexpr Names<engine::ReuseStrategy, 4> kStrategies = {
    {{"auto", engine::ReuseStrategy::kAuto},
     {"stored", engine::ReuseStrategy::kStored},
     {"recompute", engine::ReuseStrategy::kRecompute},
     {"fused", engine::ReuseStrategy::kFused}}};
constexpr Names<engine::ScoreFormat, 3> kScoreFormats = {{{"auto", engine::ScoreFormat::kAuto},
                                                          {"fp32", engine::ScoreFormat::kF32},
                                                          {"bf16", engine::ScoreFormat::kBF16}}};

template <typename Value, std::size_t kSize>
absl::StatusOr<Value> Parse(const char* what, std::string_view text,
                            const Names<Value, kSize>& names) {
  std::vector<std::string> known;
  for (const auto& [name, value] : names) {
    if (name == text) return value;
    known.emplace_back(name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is '", std::string(text), "'; expected ", absl::StrJoin(known, ", ")));
}

using engine::CheckRange;

}  // namespace

absl::Status Validate(const ModelServingOptions& options) {
  const ModelServingOptions& o = options;
  constexpr std::int64_t kTebibyte = std::int64_t{1} << 40;
  REPRISE_RETURN_IF_ERROR(CheckRange("score_cache_bytes", o.score_cache_bytes, 0, kTebibyte));
  REPRISE_RETURN_IF_ERROR(CheckRange("executors", o.executors, 1, 256));
  REPRISE_RETURN_IF_ERROR(CheckRange("threads", o.threads, 0, 1024));
  REPRISE_RETURN_IF_ERROR(CheckRange("tokenizer_threads", o.tokenizer_threads, 1, 256));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_text_bytes", o.max_text_bytes, 1, kTebibyte));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_reply_bytes", o.max_reply_bytes, 1,
                                     std::numeric_limits<std::int32_t>::max()));
  REPRISE_RETURN_IF_ERROR(CheckRange("warmup_runs", o.warmup_runs, 0, 1000));
  return batching::Validate(o.batching);
}

absl::StatusOr<engine::Precision> ParsePrecision(std::string_view text) {
  return Parse("precision", text, kPrecisions);
}

absl::StatusOr<engine::ReuseStrategy> ParseStrategy(std::string_view text) {
  return Parse("strategy", text, kStrategies);
}

absl::StatusOr<engine::ScoreFormat> ParseScoreFormat(std::string_view text) {
  return Parse("score_format", text, kScoreFormats);
}

std::string_view Name(engine::ReuseStrategy strategy) {
  for (const auto& [name, value] : kStrategies) {
    if (value == strategy) return name;
  }
  return "?";
}

}  // namespace reprise::server::repository
