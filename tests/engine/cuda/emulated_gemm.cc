// Matrix products in plain loops, in the place of cuBLASLt's.
#include "engine/check.h"
#include "engine/cuda/gemm.h"
#include "engine/tensor/dtype.h"
#include "tests/engine/cuda/emulated_stream.h"

namespace reprise::engine::cuda {
namespace {

class LoopGemm : public Gemm {
 public:
  explicit LoopGemm(std::int64_t max_rows) : max_rows_(max_rows) {}

  absl::Status Run(const Stream& stream, const Dense& dense, const std::uint16_t* x,
                   std::uint16_t* y, std::int64_t rows, std::byte*) const override {
    REPRISE_CHECK(rows >= 1 && rows <= max_rows_);
    RunOnEmulatedStream(stream.get(), [=, &dense] { Multiply(dense, x, y, rows); });
    return absl::OkStatus();
  }
  std::int64_t workspace_bytes() const override { return 0; }

 private:
  static void Multiply(const Dense& dense, const std::uint16_t* x, std::uint16_t* y,
                       std::int64_t rows) {
    const auto number = [](std::uint16_t bits) { return BFloat16{bits}.ToFloat(); };
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t out = 0; out < dense.out_features(); ++out) {
        float sum = 0;
        for (std::int64_t in = 0; in < dense.in_features(); ++in) {
          sum += number(x[row * dense.in_features() + in]) *
                 number(dense.weight()[out * dense.in_features() + in]);
        }
        y[row * dense.out_features() + out] =
            BFloat16::FromFloat(sum + number(dense.bias()[out])).bits;
      }
    }
  }

  std::int64_t max_rows_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Gemm>> Gemm::Tune(const Stream&, const Dense&,
                                                       std::int64_t max_rows, bool) {
  return std::make_shared<const LoopGemm>(max_rows);
}

}  // namespace reprise::engine::cuda
