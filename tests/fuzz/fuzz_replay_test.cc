// Calls the fuzzers' functions on their seed corpus and on damaged copies of it, in every build.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/temporary_directory.h"

namespace reprise::fuzz {
namespace {

namespace fs = std::filesystem;

struct Target {
  const char* corpus;  // a folder of tests/fuzz/corpus
  void (*run)(std::span<const std::uint8_t> input);
};

class FuzzReplayTest : public ::testing::TestWithParam<Target> {
 protected:
  static std::vector<std::string> Seeds() {
    const fs::path folder = fs::path(REPRISE_SOURCE_DIR) / "tests/fuzz/corpus" / GetParam().corpus;
    std::vector<fs::path> paths(fs::directory_iterator(folder), fs::directory_iterator{});
    std::sort(paths.begin(), paths.end());  // the same order everywhere
    std::vector<std::string> seeds;
    for (const fs::path& path : paths) seeds.push_back(testing::ReadBytes(path));
    return seeds;
  }
  static void Run(const std::string& input) {
    // An exact copy on the heap: AddressSanitizer sees a read beyond its end.
    const std::vector<std::uint8_t> bytes(input.begin(), input.end());
    GetParam().run(bytes);
  }
};

TEST_P(FuzzReplayTest, SeedsAreTakenOrRefused) {
  const std::vector<std::string> seeds = Seeds();
  ASSERT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) Run(seed);
}

TEST_P(FuzzReplayTest, SeedsCutAnywhereAreTakenOrRefused) {
  for (const std::string& seed : Seeds()) {
    for (std::size_t size = 0; size < seed.size(); ++size) Run(seed.substr(0, size));
  }
}

TEST_P(FuzzReplayTest, DamagedSeedsAreTakenOrRefused) {
  std::mt19937 random(20211101);
  // Bytes that mean something to JSON are likelier to get past its grammar than random ones.
  const std::string meaningful = "{}[]\",:0123456789-.eE \\utfn";
  for (const std::string& seed : Seeds()) {
    for (int round = 0; round < 2000 && !seed.empty(); ++round) {
      std::string input = seed;
      const int changes = 1 + static_cast<int>(random() % 3);
      for (int i = 0; i < changes; ++i) {
        const bool any_byte = random() % 2 == 0;
        input[random() % input.size()] =
            any_byte ? static_cast<char>(random()) : meaningful[random() % meaningful.size()];
      }
      Run(input);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzReplayTest,
                         ::testing::Values(Target{"safetensors", FuzzSafetensors},
                                           Target{"bert_config", FuzzBertConfig},
                                           Target{"reuse_plan", FuzzReusePlan},
                                           Target{"calibration", FuzzCalibration}),
                         [](const auto& info) { return std::string(info.param.corpus); });

#ifdef REPRISE_FUZZ_SERVER
INSTANTIATE_TEST_SUITE_P(ServerTargets, FuzzReplayTest,
                         ::testing::Values(Target{"model_infer_request", FuzzModelInferRequest},
                                           Target{"tokenizer_text", FuzzTokenizerText},
                                           Target{"tokenizer_file", FuzzTokenizerFile},
                                           Target{"model_policy", FuzzModelPolicy},
                                           Target{"golden", FuzzGolden},
                                           Target{"http_infer_body", FuzzHttpInferBody}),
                         [](const auto& info) { return std::string(info.param.corpus); });
#endif

}  // namespace
}  // namespace reprise::fuzz
