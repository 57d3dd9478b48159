// The folders of models/ against the table in models/README.md.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/reuse/cost_model.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine {
namespace {

using architectures::BertConfig;

const std::string& ModelsDirectory() {
  static const auto& path = *new std::string(std::string(REPRISE_SOURCE_DIR) + "/models");
  return path;
}

struct Row {
  std::string model;
  std::int64_t parameters = 0;
  int seq_len = 0;
  std::string gmac;  // as printed
};

// The rows of the README's table.
std::vector<Row> ReadTable() {
  std::vector<Row> rows;
  std::ifstream readme(ModelsDirectory() + "/README.md");
  for (std::string line; std::getline(readme, line);) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    Row row;
    if (cells.size() != 6 ||
        !absl::SimpleAtoi(absl::StrReplaceAll(cells[3], {{",", ""}}), &row.parameters)) {
      continue;
    }
    row.model = std::string(absl::StripPrefix(cells[0], "| "));
    EXPECT_TRUE(absl::SimpleAtoi(cells[4], &row.seq_len)) << line;
    row.gmac = std::string(absl::StripSuffix(cells[5], " |"));
    rows.push_back(row);
  }
  return rows;
}

BertConfig ReadModel(const std::string& model) {
  const auto config = architectures::ReadBertConfig(ModelsDirectory() + "/" + model);
  EXPECT_OK(config) << model;
  return config.value_or(BertConfig{});
}

// The Long Range Arena models are counted without a pooler.
architectures::BertParts PartsOf(const std::string& model) {
  return {.pooler = !model.starts_with("lra-")};
}

std::int64_t Parameters(const std::string& model) {
  return architectures::ParameterCount(BertParameters(ReadModel(model), PartsOf(model)));
}

double GigaMultiplyAdds(const std::string& model, int seq_len) {
  const BertConfig config = ReadModel(model);
  const reuse::TransformerShape shape = {.num_layers = config.num_layers,
                                         .num_heads = config.num_heads,
                                         .hidden_size = config.hidden_size,
                                         .intermediate_size = config.intermediate_size};
  const auto count = reuse::ModelMultiplyAdds(shape, config.plan, {.source = seq_len}).total();
  return static_cast<double>(count) / 1e9;
}

std::string WithDecimals(double value, int decimals) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

TEST(ZooTest, TheTableListsEveryFolderOnce) {
  std::multiset<std::string> listed;
  for (const Row& row : ReadTable()) listed.insert(row.model);
  std::multiset<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(ModelsDirectory())) {
    if (std::filesystem::exists(entry.path() / "config.json")) {
      folders.insert(entry.path().filename().string());
    }
  }
  EXPECT_FALSE(folders.empty());
  EXPECT_EQ(listed, folders);
}

TEST(ZooTest, TheTableHasTheModelsParametersAndMultiplyAdds) {
  for (const Row& row : ReadTable()) {
    EXPECT_EQ(Parameters(row.model), row.parameters) << row.model;
    EXPECT_EQ(WithDecimals(GigaMultiplyAdds(row.model, row.seq_len), 2), row.gmac) << row.model;
  }
}

TEST(ZooTest, TheBaselinesAreThoseOfThePaper) {
  EXPECT_EQ(WithDecimals(Parameters("bert-base") / 1e6, 2), "109.48");
  EXPECT_EQ(WithDecimals(Parameters("bert-large") / 1e6, 2), "335.14");
  EXPECT_EQ(WithDecimals(GigaMultiplyAdds("bert-base", 512), 1), "48.3");
  EXPECT_EQ(WithDecimals(GigaMultiplyAdds("bert-large", 512), 1), "167.5");
}

// Table 1 of arXiv 2110.06821, with two more digits.
TEST(ZooTest, TheRatiosAreThoseOfThePaper) {
  struct Ratios {
    const char* model;
    const char* baseline;
    const char* parameters;
    const char* multiply_adds;
  };
  for (const Ratios& row : {Ratios{"bert-base-6x10", "bert-base", "0.9461", "0.9167"},
                            Ratios{"bert-base-12x6", "bert-base", "0.9353", "0.9000"},
                            Ratios{"bert-base-13l-12x6", "bert-base", "1.0000", "0.9833"},
                            Ratios{"bert-large-8x22", "bert-large", "0.9311", "0.9119"},
                            Ratios{"bert-large-16x12", "bert-large", "0.9248", "0.9038"},
                            Ratios{"bert-large-26l-16x12", "bert-large", "1.0000", "0.9872"}}) {
    EXPECT_EQ(
        WithDecimals(static_cast<double>(Parameters(row.model)) / Parameters(row.baseline), 4),
        row.parameters)
        << row.model;
    EXPECT_EQ(
        WithDecimals(GigaMultiplyAdds(row.model, 512) / GigaMultiplyAdds(row.baseline, 512), 4),
        row.multiply_adds)
        << row.model;
  }
}

TEST(ZooTest, AModelsNameIsItsPlan) {
  for (const Row& row : ReadTable()) {
    const std::string plan = absl::StrReplaceAll(ReadModel(row.model).plan.name(), {{"_", "-"}});
    const bool names_a_plan = plan != "exact";
    EXPECT_EQ(row.model.ends_with(absl::StrCat("-", plan)), names_a_plan) << row.model;
  }
}

}  // namespace
}  // namespace reprise::engine
