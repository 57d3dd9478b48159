#include "engine/ops/linear_choice.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <tuple>
#include <utility>

#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/memory/buffer.h"

namespace reprise::engine::ops::internal {
namespace {

using memory::Buffer;
using memory::Purpose;

constexpr int kRounds = 5;

using Shape = std::tuple<PackBackend, PackBackend, std::int64_t, std::int64_t, std::int64_t,
                         std::int64_t, DType, DType, Epilogue>;

struct Choices {
  std::mutex mutex;  // held while trying too: two trials would disturb each other
  std::map<Shape, bool> second_is_faster;

  static Choices& Process() {
    static Choices choices;
    return choices;
  }
};

// The operands of one task as ops::Linear hands them out: a tall row block of the first panel.
class Trial {
 public:
  static absl::StatusOr<Trial> Create(const LinearOptions& options, std::int64_t scratchpad_bytes) {
    Trial trial;
    trial.x_layout_ = InputLayout(options, kMaxBlockRows);
    trial.y_layout_ = OutputLayout(options, kMaxBlockRows);
    REPRISE_ASSIGN_OR_RETURN(trial.x_,
                             Buffer::Allocate(Purpose::kScratch, trial.x_layout_.bytes()));
    REPRISE_ASSIGN_OR_RETURN(trial.y_,
                             Buffer::Allocate(Purpose::kScratch, trial.y_layout_.bytes()));
    REPRISE_ASSIGN_OR_RETURN(trial.scratchpad_,
                             Buffer::Allocate(Purpose::kScratch, scratchpad_bytes));
    std::minstd_rand generator(1);
    const auto element = static_cast<std::int64_t>(SizeOf(options.precision));
    for (std::int64_t i = 0; i < trial.x_.bytes() / element; ++i) {
      const float value = static_cast<float>(generator() % 4096) / 2048.0f - 1.0f;
      if (options.precision == DType::kBF16) {
        trial.x_.as<BFloat16>()[i] = BFloat16::FromFloat(value);
      } else {
        trial.x_.as<float>()[i] = value;
      }
    }
    return trial;
  }

  double Seconds(const LinearBackend& backend) const {
    const auto begin = std::chrono::steady_clock::now();
    backend.Run({.x = x_.data(),
                 .y = y_.data(),
                 .x_layout = x_layout_,
                 .y_layout = y_layout_,
                 .rows = kMaxBlockRows,
                 .scratchpad = scratchpad_.data()});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  PanelLayout x_layout_, y_layout_;
  Buffer x_, y_, scratchpad_;
};

absl::StatusOr<bool> SecondIsFaster(const LinearOptions& options, const LinearBackend& first,
                                    const LinearBackend& second) {
  const device::ExecutionScope scope;
  REPRISE_ASSIGN_OR_RETURN(
      const Trial trial,
      Trial::Create(options, std::max(first.scratchpad_bytes(), second.scratchpad_bytes())));
  double best_first = std::numeric_limits<double>::infinity(), best_second = best_first;
  for (int round = 0; round < kRounds; ++round) {  // in turns, on the same machine
    best_first = std::min(best_first, trial.Seconds(first));
    best_second = std::min(best_second, trial.Seconds(second));
  }
  return best_second < best_first;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinearBackend>> PackFaster(PackBackend first, PackBackend second,
                                                          const LinearOptions& options,
                                                          const LinearWeights& weights) {
  const Shape shape = {first,
                       second,
                       options.in_features,
                       options.out_features,
                       options.in_panel,
                       options.out_panel,
                       options.precision,
                       options.output,
                       options.epilogue};
  Choices& choices = Choices::Process();
  const std::lock_guard lock(choices.mutex);
  const auto known = choices.second_is_faster.find(shape);
  if (known != choices.second_is_faster.end()) {
    return known->second ? second(options, weights) : first(options, weights);
  }
  auto by_first = first(options, weights);
  auto by_second = second(options, weights);
  if (!by_second.ok()) return by_first;
  if (!by_first.ok())
    return absl::IsUnimplemented(by_first.status()) ? std::move(by_second) : std::move(by_first);
  REPRISE_ASSIGN_OR_RETURN(const bool faster, SecondIsFaster(options, **by_first, **by_second));
  choices.second_is_faster[shape] = faster;
  return faster ? std::move(by_second) : std::move(by_first);
}

}  // namespace reprise::engine::ops::internal
