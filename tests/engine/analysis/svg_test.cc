#include "engine/analysis/svg.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::engine::analysis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

double Light(const Color& color) { return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]; }

TEST(Svg, BrighterIsMoreAlikeAndDarkerMoreAttention) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_LT(Light(SimilarityColor(i / 100.0)), Light(SimilarityColor((i + 1) / 100.0)));
    EXPECT_GT(Light(AttentionColor(i / 100.0)), Light(AttentionColor((i + 1) / 100.0)));
  }
  EXPECT_EQ(SimilarityColor(-1), SimilarityColor(0));
  EXPECT_EQ(SimilarityColor(2), SimilarityColor(1));
}

TEST(Svg, NoDifferenceIsWhiteAndItsSignIsAHue) {
  EXPECT_EQ(DifferenceColor(0), (Color{255, 255, 255}));
  EXPECT_GT(DifferenceColor(0.5)[0], DifferenceColor(0.5)[2]);
  EXPECT_LT(DifferenceColor(-0.5)[0], DifferenceColor(-0.5)[2]);
}

TEST(Svg, WhatPeopleWroteIsText) {
  EXPECT_EQ(Escaped("<b>&\"x\"\n"), "&lt;b&gt;&amp;&quot;x&quot;\xef\xbf\xbd");
  Picture picture("a", "<title>", 10, 20);
  picture.Rect(1, 2, 3, 4, {255, 0, 16}, "tip & <tip>");
  picture.Text(1, 2, Anchor::kEnd, "</svg>");
  const std::string svg = std::move(picture).Finish();
  EXPECT_THAT(svg, HasSubstr("fill=\"#ff0010\"><title>tip &amp; &lt;tip&gt;</title></rect>"));
  EXPECT_THAT(svg, HasSubstr("<title id=\"a-title\">&lt;title&gt;</title>"));
  EXPECT_THAT(svg, HasSubstr("text-anchor=\"end\">&lt;/svg&gt;</text>"));
}

TEST(Svg, TextShowsOnItsBackground) {
  Picture picture("a", "", 10, 20);
  picture.TextOn({0, 0, 80}, 1, 2, "x");
  picture.TextOn({255, 255, 0}, 1, 2, "y");
  const std::string svg = std::move(picture).Finish();
  EXPECT_THAT(svg, HasSubstr("<text class=\"light\" x=\"1\" y=\"2\" text-anchor=\"middle\">x"));
  EXPECT_THAT(svg, HasSubstr("<text class=\"dark\" x=\"1\" y=\"2\" text-anchor=\"middle\">y"));
}

TEST(Svg, CoordinatesAreShort) {
  EXPECT_EQ(Coordinate(3), "3");
  EXPECT_EQ(Coordinate(3.5), "3.5");
  EXPECT_EQ(Coordinate(10.004), "10");
  EXPECT_EQ(Coordinate(100), "100");
}

}  // namespace
}  // namespace reprise::engine::analysis
