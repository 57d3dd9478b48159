#include <algorithm>
#include <iterator>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/cuda/cublas_lt.h"
#include "engine/cuda/gemm.h"
#include "engine/cuda/status.h"
#include "engine/device_health.h"
#include "engine/tensor/dtype.h"

namespace reprise::engine::cuda {
namespace {

constexpr std::int64_t kWorkspaceBytes = 32 << 20;
constexpr int kCandidates = 16;   // algorithms tried for one number of rows
constexpr int kRepetitions = 10;  // timed runs of each
constexpr std::int64_t kLeastRows = 16;
// Products are tried for at least so many rows, whatever is wanted: see Fastest.
constexpr std::int64_t kLeastMostRows = 512;
// Rows whose bits are compared. All trials have them; the others are there to make up the number.
constexpr std::int64_t kComparedRows = 16;
static_assert(kComparedRows <= kLeastRows);

// 16, 32, 48, 64, 96, 128, ..., the last one at least max_rows.
std::vector<std::int64_t> RowCounts(std::int64_t max_rows) {
  std::vector<std::int64_t> counts = {kLeastRows};
  for (std::int64_t power = 2 * kLeastRows; counts.back() < max_rows; power *= 2) {
    counts.push_back(power);
    if (counts.back() < max_rows) counts.push_back(power + power / 2);
  }
  return counts;
}

struct Algorithm {
  cublasLtMatmulAlgo_t algo{};
  double nanoseconds = 0;
};

// cuBLASLt thinks in columns: row-major y [rows, out] is column-major [out, rows], and likewise x
// and W. So y = W x with W transposed on the way.
class CublasGemm : public Gemm {
 public:
  CublasGemm(const CublasLt& lt, std::int64_t in_features, std::int64_t out_features,
             bool invariant)
      : lt_(lt), in_features_(in_features), out_features_(out_features), invariant_(invariant) {}
  ~CublasGemm() override {
    if (handle_ != nullptr) lt_.destroy(handle_);
  }

  absl::Status Create() { return lt_.ToStatus(lt_.create(&handle_), "starting cuBLASLt"); }
  absl::Status Choose(const Stream& stream, const Dense& example, std::int64_t max_rows);

  absl::Status Run(const Stream& stream, const Dense& dense, const std::uint16_t* x,
                   std::uint16_t* y, std::int64_t rows, std::byte* workspace) const override {
    const auto at = std::lower_bound(
        choices_.begin(), choices_.end(), rows,
        [](const Choice& choice, std::int64_t wanted) { return choice.rows < wanted; });
    REPRISE_CHECK(at != choices_.end());
    return RunWith(stream, at->algorithm, dense, x, y, rows, workspace);
  }
  std::int64_t workspace_bytes() const override { return kWorkspaceBytes; }

 private:
  struct Choice {
    std::int64_t rows = 0;  // up to so many
    Algorithm algorithm;
  };
  // What cuBLASLt is told about one product, on the stack: nothing is allocated for a run.
  struct Product {
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t weight;
    cublasLtMatrixLayoutOpaque_t x;
    cublasLtMatrixLayoutOpaque_t y;
  };
  // Numbers of rows that share an algorithm.
  struct RowRange {
    std::int64_t least = 0;
    std::int64_t most = 0;
  };
  // What algorithms are tried on.
  struct Trial {
    const Stream& stream;
    const Dense& dense;
    DeviceBuffer x;
    DeviceBuffer y;
    DeviceBuffer workspace;
    Event begin;
    Event end;
    PinnedBuffer found;  // compared rows of y
  };

  absl::Status Describe(const Dense& dense, std::int64_t rows, Product* product) const;
  absl::Status RunWith(const Stream& stream, const Algorithm& algorithm, const Dense& dense,
                       const std::uint16_t* x, std::uint16_t* y, std::int64_t rows,
                       std::byte* workspace) const;
  absl::StatusOr<std::vector<Algorithm>> Candidates(const Dense& dense, std::int64_t rows) const;
  absl::StatusOr<Trial> MakeTrial(const Stream& stream, const Dense& dense,
                                  std::int64_t rows) const;
  absl::StatusOr<std::vector<std::uint16_t>> RunOn(const Trial& trial, std::int64_t rows,
                                                   const Algorithm& algorithm) const;
  absl::StatusOr<double> Time(const Trial& trial, std::int64_t rows,
                              const Algorithm& algorithm) const;
  absl::StatusOr<std::optional<Algorithm>> Fastest(const Trial& trial, RowRange rows,
                                                   std::vector<std::uint16_t>* bits) const;

  const CublasLt& lt_;
  const std::int64_t in_features_;
  const std::int64_t out_features_;
  const bool invariant_;
  cublasLtHandle_t handle_ = nullptr;
  std::vector<Choice> choices_;  // by ascending rows
};

absl::Status CublasGemm::Describe(const Dense& dense, std::int64_t rows, Product* product) const {
  constexpr char kDoing[] = "describing a matrix product";
  const auto check = [&](cublasStatus_t status) { return lt_.ToStatus(status, kDoing); };
  REPRISE_RETURN_IF_ERROR(check(lt_.init_operation(&product->operation, sizeof(product->operation),
                                                   CUBLAS_COMPUTE_32F, CUDA_R_32F)));
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    return check(lt_.set_operation(&product->operation, attribute, &value, sizeof(value)));
  };
  const cublasOperation_t transposed = CUBLAS_OP_T;
  REPRISE_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_TRANSA, transposed));
  const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
  REPRISE_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue));
  const void* bias = dense.bias();
  REPRISE_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias));
  const auto layout = [&](cublasLtMatrixLayoutOpaque_t* matrix, std::int64_t height,
                          std::int64_t width) {
    return check(lt_.init_layout(matrix, sizeof(*matrix), CUDA_R_16BF,
                                 static_cast<std::uint64_t>(height),
                                 static_cast<std::uint64_t>(width), height));
  };
  REPRISE_RETURN_IF_ERROR(layout(&product->weight, in_features_, out_features_));
  REPRISE_RETURN_IF_ERROR(layout(&product->x, in_features_, rows));
  return layout(&product->y, out_features_, rows);
}

absl::Status CublasGemm::RunWith(const Stream& stream, const Algorithm& algorithm,
                                 const Dense& dense, const std::uint16_t* x, std::uint16_t* y,
                                 std::int64_t rows, std::byte* workspace) const {
  Product product;
  REPRISE_RETURN_IF_ERROR(Describe(dense, rows, &product));
  const float one = 1;
  const float zero = 0;
  return lt_.ToStatus(
      lt_.multiply(handle_, &product.operation, &one, dense.weight(), &product.weight, x,
                   &product.x, &zero, y, &product.y, y, &product.y, &algorithm.algo, workspace,
                   kWorkspaceBytes, stream.get()),
      "multiplying matrices");
}

// Fastest first, as cuBLASLt guesses.
absl::StatusOr<std::vector<Algorithm>> CublasGemm::Candidates(const Dense& dense,
                                                              std::int64_t rows) const {
  Product product;
  REPRISE_RETURN_IF_ERROR(Describe(dense, rows, &product));
  constexpr char kDoing[] = "looking for algorithms";
  cublasLtMatmulPreferenceOpaque_t preference;
  REPRISE_RETURN_IF_ERROR(
      lt_.ToStatus(lt_.init_preference(&preference, sizeof(preference)), kDoing));
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    return lt_.ToStatus(lt_.set_preference(&preference, attribute, &value, sizeof(value)), kDoing);
  };
  const std::uint64_t workspace = kWorkspaceBytes;
  REPRISE_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace));
  const std::uint32_t sums =
      invariant_ ? CUBLASLT_REDUCTION_SCHEME_NONE : CUBLASLT_REDUCTION_SCHEME_MASK;
  REPRISE_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, sums));
  cublasLtMatmulHeuristicResult_t found[kCandidates];
  int count = 0;
  REPRISE_RETURN_IF_ERROR(lt_.ToStatus(
      lt_.find_algorithms(handle_, &product.operation, &product.weight, &product.x, &product.y,
                          &product.y, &preference, kCandidates, found, &count),
      kDoing));
  std::vector<Algorithm> algorithms;
  for (int i = 0; i < count; ++i) {
    if (found[i].state == CUBLAS_STATUS_SUCCESS) {
      algorithms.push_back({.algo = found[i].algo});
    }
  }
  return algorithms;
}

absl::StatusOr<CublasGemm::Trial> CublasGemm::MakeTrial(const Stream& stream, const Dense& dense,
                                                        std::int64_t rows) const {
  using memory::Purpose;
  constexpr std::int64_t kElement = sizeof(std::uint16_t);
  Trial trial{stream, dense, {}, {}, {}, {}, {}, {}};
  REPRISE_ASSIGN_OR_RETURN(
      trial.x, DeviceBuffer::Allocate(Purpose::kScratch, rows * in_features_ * kElement));
  REPRISE_ASSIGN_OR_RETURN(
      trial.y, DeviceBuffer::Allocate(Purpose::kScratch, rows * out_features_ * kElement));
  REPRISE_ASSIGN_OR_RETURN(trial.workspace,
                           DeviceBuffer::Allocate(Purpose::kScratch, kWorkspaceBytes));
  REPRISE_ASSIGN_OR_RETURN(trial.begin, Event::Create());
  REPRISE_ASSIGN_OR_RETURN(trial.end, Event::Create());
  REPRISE_ASSIGN_OR_RETURN(trial.found,
                           PinnedBuffer::Allocate(kComparedRows * out_features_ * kElement));
  // Numbers of both signs and several sizes, so that another order of summation shows.
  REPRISE_ASSIGN_OR_RETURN(const PinnedBuffer numbers, PinnedBuffer::Allocate(trial.x.bytes()));
  std::minstd_rand random(1);
  std::uniform_real_distribution<float> uniform(-2, 2);
  constexpr std::int64_t kPeriod = 1 << 20;  // enough, and quickly drawn
  auto* values = numbers.as<BFloat16>();
  for (std::int64_t i = 0; i < rows * in_features_; ++i) {
    values[i] = i < kPeriod ? BFloat16::FromFloat(uniform(random)) : values[i - kPeriod];
  }
  REPRISE_RETURN_IF_ERROR(stream.Copy(trial.x.data(), numbers.data(), numbers.bytes()));
  REPRISE_RETURN_IF_ERROR(stream.Wait());
  return trial;
}

// The bits of the compared rows.
absl::StatusOr<std::vector<std::uint16_t>> CublasGemm::RunOn(const Trial& trial, std::int64_t rows,
                                                             const Algorithm& algorithm) const {
  REPRISE_RETURN_IF_ERROR(RunWith(trial.stream, algorithm, trial.dense, trial.x.as<std::uint16_t>(),
                                  trial.y.as<std::uint16_t>(), rows, trial.workspace.data()));
  REPRISE_RETURN_IF_ERROR(
      trial.stream.Copy(trial.found.data(), trial.y.data(), trial.found.bytes()));
  REPRISE_RETURN_IF_ERROR(trial.stream.Wait());
  const auto* bits = trial.found.as<std::uint16_t>();
  return std::vector<std::uint16_t>(bits, bits + kComparedRows * out_features_);
}

// Nanoseconds of one product.
absl::StatusOr<double> CublasGemm::Time(const Trial& trial, std::int64_t rows,
                                        const Algorithm& algorithm) const {
  const auto repeat = [&]() -> absl::Status {
    for (int i = 0; i < kRepetitions; ++i) {
      REPRISE_RETURN_IF_ERROR(RunWith(trial.stream, algorithm, trial.dense,
                                      trial.x.as<std::uint16_t>(), trial.y.as<std::uint16_t>(),
                                      rows, trial.workspace.data()));
    }
    return absl::OkStatus();
  };
  // As a graph: the host takes longer to start a small product than the device to run it.
  REPRISE_ASSIGN_OR_RETURN(const Graph graph, Graph::Capture(trial.stream, repeat));
  REPRISE_RETURN_IF_ERROR(graph.Launch(trial.stream));
  REPRISE_RETURN_IF_ERROR(trial.begin.Record(trial.stream));
  REPRISE_RETURN_IF_ERROR(graph.Launch(trial.stream));
  REPRISE_RETURN_IF_ERROR(trial.end.Record(trial.stream));
  REPRISE_RETURN_IF_ERROR(trial.stream.Wait());
  REPRISE_ASSIGN_OR_RETURN(const double nanoseconds, trial.end.NanosecondsSince(trial.begin));
  return nanoseconds / kRepetitions;
}

// The fastest algorithm for the most of these rows among those that give `*bits` for them and for
// the least, where that is asked for; any, and its bits, when that is empty. None when all give
// other bits.
absl::StatusOr<std::optional<Algorithm>> CublasGemm::Fastest(
    const Trial& trial, RowRange rows, std::vector<std::uint16_t>* bits) const {
  REPRISE_ASSIGN_OR_RETURN(std::vector<Algorithm> candidates, Candidates(trial.dense, rows.most));
  // What serves more rows may serve fewer better than all that cuBLASLt proposes for them: on an
  // H200, 12 us instead of 20 for 128 rows of 3072 to 768.
  if (!choices_.empty()) candidates.push_back(choices_.front().algorithm);
  std::optional<Algorithm> fastest;
  std::vector<std::uint16_t> fastest_bits;
  for (Algorithm& candidate : candidates) {
    absl::StatusOr<std::vector<std::uint16_t>> found = RunOn(trial, rows.most, candidate);
    absl::StatusOr<std::vector<std::uint16_t>> least = RunOn(trial, rows.least, candidate);
    if (DeviceIsLost()) return absl::InternalError("the GPU failed while algorithms were tried");
    if (!found.ok() || !least.ok()) continue;
    if (invariant_ && (*found != *least || (!bits->empty() && *found != *bits))) continue;
    REPRISE_ASSIGN_OR_RETURN(candidate.nanoseconds, Time(trial, rows.most, candidate));
    if (fastest && fastest->nanoseconds <= candidate.nanoseconds) continue;
    fastest = candidate;
    fastest_bits = *std::move(found);
  }
  if (fastest) *bits = std::move(fastest_bits);
  return fastest;
}

// Most rows first: what is fastest there decides which bits all others must give. Where none does,
// the algorithm of the next larger number of rows runs fewer, too.
absl::Status CublasGemm::Choose(const Stream& stream, const Dense& example, std::int64_t max_rows) {
  const std::vector<std::int64_t> counts = RowCounts(std::max(max_rows, kLeastMostRows));
  REPRISE_ASSIGN_OR_RETURN(const Trial trial, MakeTrial(stream, example, counts.back()));
  std::vector<std::uint16_t> bits;
  for (auto rows = counts.rbegin(); rows != counts.rend(); ++rows) {
    const auto below = std::next(rows);
    const RowRange range = {below == counts.rend() ? kComparedRows : *below + 1, *rows};
    REPRISE_ASSIGN_OR_RETURN(std::optional<Algorithm> fastest, Fastest(trial, range, &bits));
    if (!fastest && choices_.empty()) {
      return absl::InternalError(absl::StrCat("cuBLASLt has no algorithm for ", *rows, " x ",
                                              in_features_, " x ", out_features_, " in bf16"));
    }
    choices_.insert(choices_.begin(),
                    Choice{*rows, fastest ? *fastest : choices_.front().algorithm});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Gemm>> Gemm::Tune(const Stream& stream, const Dense& example,
                                                       std::int64_t max_rows, bool invariant) {
  REPRISE_ASSIGN_OR_RETURN(const CublasLt* lt, CublasLt::Get());
  auto gemm =
      std::make_shared<CublasGemm>(*lt, example.in_features(), example.out_features(), invariant);
  REPRISE_RETURN_IF_ERROR(gemm->Create());
  REPRISE_RETURN_IF_ERROR(gemm->Choose(stream, example, max_rows));
  return gemm;
}

}  // namespace reprise::engine::cuda
