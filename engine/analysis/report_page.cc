#include "engine/analysis/report_page.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/analysis/baseline_figure.h"
#include "engine/analysis/pair_figure.h"
#include "engine/analysis/reuse_grid_figure.h"
#include "engine/analysis/similarity_figures.h"
#include "engine/analysis/svg.h"

namespace reprise::engine::analysis {
namespace {

constexpr char kStyle[] =
    ":root{color-scheme:light}"
    "body{font:15px/1.45 system-ui,sans-serif;color:#111;background:#fff;max-width:860px;"
    "margin:2em auto;padding:0 1em}"
    "h2{margin-top:2.2em}"
    "svg{display:block;margin:.8em 0;max-width:100%;overflow:visible}"
    "text{font-size:12px;fill:#111}text.light{fill:#fff}text.dark{fill:#000}"
    ".tokens text{font-size:9px}.grid{stroke:#ddd}.border{stroke:#fff;stroke-opacity:.5}"
    ".frame{fill:none;stroke:#555}image{image-rendering:pixelated}"
    ".beside{display:flex;flex-wrap:wrap;gap:1.5em}.beside figure{margin:0}"
    "figcaption{font-weight:600}";

int NumberOf(const SimilarityTable& table, reuse::HeadRef head) {
  return head.layer * table.heads() + head.head;
}

// How far the ends of the widest interval of all pairs are from its middle.
double WidestInterval(const SimilarityTable& table) {
  double largest = 0;
  const int all = table.layers() * table.heads();
  for (int head = 0; head < all; ++head) {
    for (int other = 0; other < head; ++other) {
      largest = std::max(largest, table.standard_error(head, other));
    }
  }
  return largest * table.standard_errors_of_95_percent();
}

// The most alike heads of different layers, in words.
std::string MostAlike(const SimilarityTable& table) {
  if (table.layers() == 1) return "";
  SimilarityTable::Pair most = table.BestPair(0, 1);
  for (int layer = 0; layer < table.layers(); ++layer) {
    for (int other = layer + 1; other < table.layers(); ++other) {
      const SimilarityTable::Pair pair = table.BestPair(layer, other);
      if (table.mean(pair.head, pair.other) > table.mean(most.head, most.other)) most = pair;
    }
  }
  const auto name = [&](int head) { return NameOf({head / table.heads(), head % table.heads()}); };
  return absl::StrCat("<p>The most alike heads of two layers are <b>", name(most.head),
                      "</b> (layer ", most.head / table.heads() + 1, ", head ",
                      most.head % table.heads() + 1, ") and <b>", name(most.other),
                      "</b>: ", MeanText(table, most.head, most.other), ".</p>\n");
}

std::string Opening(const SimilarityReport& report) {
  const SimilarityTable& table = report.table;
  const std::string model = Escaped(report.subject.model);
  std::string html = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Attention of ",
      model, "</title>\n<meta name=\"viewport\" content=\"width=device-width\">\n<style>", kStyle,
      "</style></head><body>\n<h1>How alike the heads attend</h1>\n<p>Model <b>", model,
      "</b>: ", table.texts(), table.texts() == 1 ? " text, " : " texts, ", report.subject.tokens,
      " tokens, each text cut to ", report.subject.max_tokens, " tokens; ", table.layers(),
      " layers of ", table.heads(),
      " heads. The similarity of two heads on a text is 1 minus half the summed differences of "
      "their attention probabilities, averaged over queries (arXiv 2110.06821, equation 2); then "
      "over the texts. ");
  if (table.texts() >= 2) {
    absl::StrAppend(&html,
                    "The 95&nbsp;% confidence interval of a number, from how much the texts "
                    "differ, is at most \xc2\xb1 ",
                    Fixed(WidestInterval(table), 3),
                    "; tips under the pointer give each pair's own.");
  } else {
    html += "One text says nothing about how much others would differ.";
  }
  return absl::StrCat(html, "</p>\n", MostAlike(table), SimilarityScale());
}

std::string BestPairsSection(const SimilarityTable& table) {
  return absl::StrCat(
      "<h2>Best pair of heads of two layers</h2>\n<p>Rows and columns are layers. A high number "
      "says: some head of the one layer could take the scores of some head of the other.</p>\n",
      BestPairsPicture("best-pairs", table, 860));
}

std::string RankedMatchesSection(const SimilarityTable& table) {
  if (table.layers() == 1) return "";
  return absl::StrCat(
      "<h2>Each head's best match in the layer before</h2>\n<p>The heads of each layer, sorted by "
      "how alike their best match in the layer before is; each line is a rank. Heads of high lines "
      "are the ones to reuse.</p>\n",
      RankedMatchesPicture(table));
}

std::string RandomSection(const SimilarityReport& report) {
  if (!report.random || report.table.layers() == 1) return "";
  return absl::StrCat(
      "<h2>Trained against random weights</h2>\n<p>The same texts through the same architecture "
      "with weights drawn at random (seed ",
      report.random->seed,
      "), as before any training. Such heads attend almost evenly to all tokens, so they are "
      "nearly "
      "all alike, and high numbers on the right are no discovery. What training made of it is the "
      "left side: heads that differ, and some pairs that stayed or became alike. The lower the "
      "left "
      "side is, the more heads have found work of their own. (The paper's figure 4 compares with a "
      "model <i>trained</i> on random data; that is another question.)</p>\n<div class=\"beside\">"
      "<figure><figcaption>trained</figcaption>\n",
      BestPairsPicture("trained-pairs", report.table, 410),
      "</figure>\n<figure><figcaption>random weights</figcaption>\n",
      BestPairsPicture("random-pairs", report.random->table, 410), "</figure></div>\n",
      BaselinePicture(report.table, report.random->table));
}

std::string PairsSection(const SimilarityReport& report) {
  const AttentionMaps& maps = report.maps;
  if (maps.pairs.empty()) return "";
  std::string html = absl::StrCat(
      "<h2>Pairs of heads on one text</h2>\n<p>The attention itself, of one text of ",
      maps.tokens.size(), " tokens: <q>", Escaped(absl::StrJoin(maps.tokens, " ")),
      "</q>. A row is a query and shows to which keys, the columns, it attends; every row sums up "
      "to "
      "1. Where the third square is white, the second head could stand in for the first.</p>\n",
      AttentionScale());
  for (int i = 0; i < static_cast<int>(maps.pairs.size()); ++i) {
    const PairMaps& pair = maps.pairs[i];
    absl::StrAppend(&html, "<h3>", NameOf(pair.heads.first), " and ", NameOf(pair.heads.second),
                    ": ",
                    MeanText(report.table, NumberOf(report.table, pair.heads.first),
                             NumberOf(report.table, pair.heads.second)),
                    " over all texts, ", Fixed(pair.similarity, 2), " on this one</h3>\n",
                    PairPicture(maps, i));
  }
  return html;
}

std::string ReuseSection(const SimilarityReport& report) {
  if (!report.reuse) return "";
  const int all = report.table.layers() * report.table.heads();
  return absl::StrCat(
      "<h2>What a plan would reuse</h2>\n<p>Which heads would take whose scores if ",
      report.reuse->plan.num_reused_heads(), " of ", all, " (",
      Fixed(100 * report.reuse->budget, 0),
      "&nbsp;%) had to, chosen so that the sum of their similarities is high: what <code>reprise "
      "convert --budget ",
      Coordinate(report.reuse->budget),
      " --by similarity</code> does on such texts. Rows are layers, columns heads. A coloured cell "
      "names the head whose scores it takes; a framed white one is read by so many later heads; a "
      "grey one computes for itself only.</p>\n",
      ReuseGridPicture(report.reuse->plan, report.table));
}

std::string TableSection(const SimilarityTable& table) {
  return absl::StrCat(
      "<h2>All pairs of heads</h2>\n<p>Rows and columns are heads, layer by layer from the upper "
      "left. Blocks on the diagonal are the heads of one layer.</p>\n",
      TablePicture(table));
}

}  // namespace

std::string ToHtml(const SimilarityReport& report) {
  return absl::StrCat(Opening(report), BestPairsSection(report.table),
                      RankedMatchesSection(report.table), RandomSection(report),
                      PairsSection(report), ReuseSection(report), TableSection(report.table),
                      "</body></html>\n");
}

}  // namespace reprise::engine::analysis
