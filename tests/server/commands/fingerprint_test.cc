#include "server/commands/fingerprint.h"

#include <filesystem>
#include <memory>
#include <string>

#include "engine/analysis/save_checkpoint.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/weights/random_source.h"
#include "gtest/gtest.h"
#include "tests/engine/tiny_model.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

TEST(FingerprintOfTexts, TellsEveryDifferenceApart) {
  const TokenizedTexts texts = {{1, 2, 3}, {4}};
  const std::string fingerprint = FingerprintOf(texts);
  EXPECT_EQ(fingerprint.size(), 64);
  EXPECT_EQ(FingerprintOf(TokenizedTexts{{1, 2, 3}, {4}}), fingerprint);
  EXPECT_NE(FingerprintOf(TokenizedTexts{{1, 2}, {3, 4}}), fingerprint);  // another split
  EXPECT_NE(FingerprintOf(TokenizedTexts{{4}, {1, 2, 3}}), fingerprint);
  EXPECT_NE(FingerprintOf(TokenizedTexts{{1, 2, 3}, {5}}), fingerprint);
  EXPECT_NE(FingerprintOf(TokenizedTexts{{1, 2, 3}}), fingerprint);
}

TEST(FingerprintOfModel, DependsOnWeightsAndConfigOnly) {
  const ::reprise::testing::TemporaryDirectory scratch;
  engine::architectures::BertConfig config = engine::TinyConfig();
  config.plan = *engine::reuse::ReusePlan::Exact(config.num_layers, config.num_heads);
  const auto fingerprint_of = [&](const std::string& name, std::uint64_t seed) {
    const engine::weights::RandomSource source(engine::architectures::BertParameters(config, {}),
                                               seed);
    EXPECT_OK(engine::analysis::SaveCheckpoint(config, source, scratch / name));
    const auto checkpoint = engine::weights::Checkpoint::Open(scratch / name);
    EXPECT_OK(checkpoint);
    return FingerprintOf(config, **checkpoint);
  };
  const std::string fingerprint = fingerprint_of("one", 1);
  EXPECT_EQ(fingerprint_of("copy", 1), fingerprint);
  EXPECT_NE(fingerprint_of("other", 2), fingerprint);
  config.layer_norm_eps = 1e-6f;
  EXPECT_NE(fingerprint_of("changed", 1), fingerprint);
}

}  // namespace
}  // namespace reprise::server::commands
