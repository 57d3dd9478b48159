#include "loadtest/generator/load_plan.h"

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/simulation/arrival_trace.h"

namespace reprise::loadtest {
namespace {

using server::simulation::Arrival;
using server::simulation::ArrivalTrace;

// Calls that a closed loop goes around in: enough for the mix of lengths to be met.
constexpr double kClosedLoopCalls = 4096;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 20;  // of one call

inference::ModelInferRequest EmptyRequest(const LoadOptions& options, const char* input,
                                          const char* datatype,
                                          std::initializer_list<std::int64_t> shape) {
  inference::ModelInferRequest request;
  request.set_model_name(options.model);
  auto& tensor = *request.add_inputs();
  tensor.set_name(input);
  tensor.set_datatype(datatype);
  for (const std::int64_t extent : shape) tensor.add_shape(extent);
  request.add_outputs()->set_name(options.output);
  return request;
}

// BYTES in raw contents: four bytes of length, little endian as every machine reprise runs on,
// then the text.
inference::ModelInferRequest TextRequest(const LoadOptions& options, const std::string& text) {
  inference::ModelInferRequest request = EmptyRequest(options, "text", "BYTES", {1});
  const auto size = static_cast<std::uint32_t>(text.size());
  std::string& raw = *request.add_raw_input_contents();
  raw.append(reinterpret_cast<const char*>(&size), sizeof(size));
  raw += text;
  return request;
}

// Makes requests, each kind once.
class RequestMaker {
 public:
  RequestMaker(const LoadOptions& options, std::vector<inference::ModelInferRequest>* requests)
      : options_(options), requests_(*requests), random_(options.seed) {
    for (const std::string& text : options.texts) requests_.push_back(TextRequest(options, text));
  }

  absl::StatusOr<std::uint32_t> RequestFor(const Arrival& arrival) {
    if (!options_.texts.empty()) return static_cast<std::uint32_t>(random_() % requests_.size());
    const auto& lengths = arrival.row_tokens;
    if (std::any_of(lengths.begin(), lengths.end(),
                    [&](std::int64_t length) { return length != lengths.front(); })) {
      return absl::InvalidArgumentError(
          "an arrival has sequences of several lengths; one tensor of ids has rows of one length, "
          "so give each arrival equal ones");
    }
    if (std::ssize(lengths) * lengths.front() > kMostTokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("an arrival has ", lengths.size(), " sequences of ", lengths.front(),
                       " tokens; expected at most ", kMostTokens, " tokens in all"));
    }
    const Shape shape{static_cast<std::int64_t>(lengths.size()), lengths.front(), arrival.priority};
    const auto [made, is_new] =
        made_.try_emplace(shape, static_cast<std::uint32_t>(requests_.size()));
    if (is_new) requests_.push_back(IdsRequest(shape));
    return made->second;
  }

 private:
  struct Shape {
    std::int64_t rows = 1, tokens = 1;
    int priority = 0;
    auto operator<=>(const Shape&) const = default;
  };

  inference::ModelInferRequest IdsRequest(const Shape& shape) {
    inference::ModelInferRequest request =
        EmptyRequest(options_, "input_ids", "INT64", {shape.rows, shape.tokens});
    if (shape.priority > 0) {
      (*request.mutable_parameters())["priority"].set_int64_param(shape.priority);
    }
    std::vector<std::int64_t> ids(static_cast<std::size_t>(shape.rows * shape.tokens));
    for (std::int64_t& id : ids) {
      id = static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(options_.vocab_size));
    }
    request.add_raw_input_contents(ids.data(), ids.size() * sizeof(ids[0]));
    return request;
  }

  const LoadOptions& options_;
  std::vector<inference::ModelInferRequest>& requests_;
  std::mt19937_64 random_;
  std::map<Shape, std::uint32_t> made_;
};

absl::StatusOr<ArrivalTrace> Arrivals(const LoadOptions& options) {
  if (!options.trace.empty()) return server::simulation::ParseTrace(options.trace);
  const double seconds = std::chrono::duration<double>(options.warm_up + options.duration).count();
  server::simulation::SyntheticTraceOptions synthetic{.pattern = options.pattern,
                                                      .rate = options.rate,
                                                      .seconds = seconds,
                                                      .burst_on = options.burst_on,
                                                      .burst_off = options.burst_off,
                                                      .lengths = options.lengths,
                                                      .seed = options.seed};
  if (!options.open_loop()) {
    synthetic.pattern = server::simulation::ArrivalPattern::kConstant;
    synthetic.rate = kClosedLoopCalls;
    synthetic.seconds = 1;
  }
  return server::simulation::MakeSyntheticTrace(synthetic);
}

}  // namespace

absl::StatusOr<LoadPlan> MakeLoadPlan(const LoadOptions& options) {
  REPRISE_RETURN_IF_ERROR(Validate(options));
  REPRISE_ASSIGN_OR_RETURN(const ArrivalTrace arrivals, Arrivals(options));
  LoadPlan plan;
  RequestMaker maker(options, &plan.requests);
  const std::chrono::nanoseconds end = options.warm_up + options.duration;
  for (const Arrival& arrival : arrivals) {
    if (options.open_loop() && arrival.at >= end) break;
    REPRISE_ASSIGN_OR_RETURN(const std::uint32_t request, maker.RequestFor(arrival));
    const std::chrono::nanoseconds deadline = options.deadline;
    plan.calls.push_back({arrival.at, request,
                          arrival.timeout.count() > 0 ? arrival.timeout : deadline,
                          arrival.client});
    if (options.open_loop() && std::ssize(plan.calls) == options.max_calls) break;
  }
  if (plan.calls.empty() || (options.open_loop() && plan.calls.back().due < options.warm_up)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no call is due after the warm-up of ", options.warm_up.count(),
        " ms; shorten it, lengthen the duration, or raise the rate or the number of calls"));
  }
  return plan;
}

}  // namespace reprise::loadtest
