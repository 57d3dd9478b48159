// The GPU's encoder against the double-precision reference:
// random models of every kind, ragged batches, all strategies.
#include "engine/cuda/encoder.h"

#include <string>
#include <vector>

#include "engine/architectures/bert_parameters.h"
#include "engine/weights/checkpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/cuda/device_array.h"
#include "tests/engine/cuda/random_gpu_config.h"
#include "tests/reference/bert.h"
#include "tests/reference/checkpoint_writer.h"
#include "tests/reference/random_model.h"
#include "tests/reference/tolerance.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::cuda {
namespace {

using reference::AllClose;
using reference::BertModel;
using reference::NumberFormat;
using reference::Random;
using reference::ReuseRecipe;
using reference::Sequence;
using reuse::Strategy;

// A post-LN residual is kept in bf16, which the CPU's engine keeps in fp32; the root mean square of
// the errors was 0.010 at most over these models all the same.
constexpr reference::Tolerance kHidden = reference::kBFloat16Outputs.last_hidden_state;

constexpr std::int64_t kMaxTokens = 512;
constexpr std::int64_t kMaxTiles = 4096;

// A batch and the schedules of all groups, in device memory.
class Prepared {
 public:
  Prepared(const reuse::ReusePlan& plan, const std::vector<Sequence>& sequences, Strategy strategy,
           std::int64_t micro_rows)
      : groups_(plan.groups().size()) {
    cu_seqlens_ = {0};
    for (const Sequence& sequence : sequences) {
      ids_.insert(ids_.end(), sequence.ids.begin(), sequence.ids.end());
      types_.insert(types_.end(), sequence.type_ids.begin(), sequence.type_ids.end());
      positions_.insert(positions_.end(), sequence.position_ids.begin(),
                        sequence.position_ids.end());
      cu_seqlens_.push_back(static_cast<std::int32_t>(ids_.size()));
    }
    const RaggedBatch batch = {cu_seqlens_, ids_, types_, positions_};
    device_cu_seqlens_ = DeviceArray(cu_seqlens_);
    device_ids_ = DeviceArray(ids_);
    device_types_ = DeviceArray(types_);
    device_positions_ = DeviceArray(positions_);
    for (std::size_t index = 0; index < groups_.size(); ++index) {
      const std::size_t count = sequences.size();
      std::vector<QueryBlock> blocks(ids_.size());
      std::vector<std::int32_t> block_counts(count);
      Group& group = groups_[index];
      group.micro_batches.reserve(count);
      const bool reuses = plan.groups()[index].last > plan.groups()[index].first;
      MakeSchedule(
          batch, {micro_rows, 1 << 20, 1 << 20, plan.num_score_slots()},
          [&](std::int64_t) { return reuses ? strategy : Strategy::kNone; }, {blocks, block_counts},
          &group.micro_batches);
      group.blocks = DeviceArray(blocks);
      group.block_counts = DeviceArray(block_counts);
      group.schedule = {group.blocks.data(), group.block_counts.data(), group.micro_batches};
      schedules_.push_back(&group.schedule);
    }
  }

  DeviceBatch batch() const {
    return {device_cu_seqlens_.data(), device_ids_.data(), device_types_.data(),
            device_positions_.data()};
  }
  std::int64_t tokens() const { return cu_seqlens_.back(); }
  std::span<const DeviceSchedule* const> schedules() const { return schedules_; }

 private:
  struct Group {
    DeviceArray<QueryBlock> blocks;
    DeviceArray<std::int32_t> block_counts;
    std::vector<ScheduledMicroBatch> micro_batches;
    DeviceSchedule schedule;
  };
  std::vector<std::int32_t> cu_seqlens_, ids_, types_, positions_;
  DeviceArray<std::int32_t> device_cu_seqlens_, device_ids_, device_types_, device_positions_;
  std::vector<Group> groups_;
  std::vector<const DeviceSchedule*> schedules_;
};

// Seed s draws a model of kind s % 6, so that each kind of reuse comes equally often.
class CudaEncoderTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    REPRISE_SKIP_WITHOUT_GPU();
    checkpoint_options_.format = NumberFormat::kBF16;
    model_ = RandomModel(RandomGpuConfig(static_cast<ReuseRecipe::Kind>(GetParam() % 6), random_),
                         checkpoint_options_.format, random_);
    const testing::TemporaryDirectory scratch;
    reference::WriteCheckpoint(scratch.path(), model_, checkpoint_options_);
    const auto config = architectures::ReadBertConfig(scratch.path());
    ASSERT_OK(config);
    config_ = *config;
    const auto checkpoint = weights::Checkpoint::Open(scratch.path());
    ASSERT_OK(checkpoint);
    const auto parts = architectures::FindParts(config_, **checkpoint);
    ASSERT_OK(parts);
    absl::StatusOr<Weights> weights = UploadWeights(config_, *parts, **checkpoint);
    ASSERT_OK(weights);
    weights_ = *std::move(weights);
    for (int i = random_.Integer(1, 3); i > 0; --i) {
      sequences_.push_back(
          reference::RandomSequence(model_.config, random_.Integer(1, 64), random_));
    }
  }

  // The last hidden state of all tokens.
  std::vector<float> Run(Strategy strategy, std::int64_t micro_rows) {
    const absl::StatusOr<Stream> stream = Stream::Create();
    EXPECT_OK(stream);
    const auto encoder = Encoder::Create(*stream, config_, weights_,
                                         {.max_tokens = kMaxTokens,
                                          .max_prob_tiles = kMaxTiles,
                                          .max_max_tiles = kMaxTiles,
                                          .keeps_projections = true});
    EXPECT_OK(encoder);
    Prepared prepared(config_.plan, sequences_, strategy, micro_rows);
    EXPECT_OK((*encoder)->Enqueue(*stream, prepared.batch(), prepared.tokens(),
                                  prepared.schedules(), [](Phase) { return absl::OkStatus(); }));
    std::vector<float> hidden(prepared.tokens() * config_.hidden_size);
    EXPECT_OK(stream->Wait());
    EXPECT_EQ(cudaMemcpy(hidden.data(), (*encoder)->hidden().data(), hidden.size() * sizeof(float),
                         cudaMemcpyDeviceToHost),
              cudaSuccess);
    return hidden;
  }

  Random random_{static_cast<std::uint64_t>(GetParam())};
  reference::CheckpointOptions checkpoint_options_;
  BertModel model_;
  architectures::BertConfig config_;
  Weights weights_;
  std::vector<Sequence> sequences_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, CudaEncoderTest, ::testing::Range(0, 18));

TEST_P(CudaEncoderTest, AgreesWithTheReferenceInEveryStrategyAndMicroBatch) {
  SCOPED_TRACE(Describe(model_.config));
  std::vector<double> expected;
  for (const Sequence& sequence : sequences_) {
    const std::vector<double> one =
        reference::Flat(reference::Forward(model_, sequence).last_hidden_state);
    expected.insert(expected.end(), one.begin(), one.end());
  }
  const std::vector<float> stored = Run(Strategy::kStored, kMaxTokens);
  EXPECT_THAT(stored, AllClose(expected, kHidden));
  // Neither the strategy nor the cut into micro-batches changes a bit.
  EXPECT_EQ(Run(Strategy::kRecompute, kMaxTokens), stored);
  EXPECT_EQ(Run(Strategy::kFused, kMaxTokens), stored);
  EXPECT_EQ(Run(Strategy::kStored, 1), stored);
}

}  // namespace
}  // namespace reprise::engine::cuda
