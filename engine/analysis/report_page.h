// What was measured of a model's heads, as a page for people.
#pragma once

#include <string>

#include "engine/analysis/similarity_report.h"

namespace reprise::engine::analysis {

// A page of its own, without scripts or links, that needs nothing but a browser.
std::string ToHtml(const SimilarityReport& report);

}  // namespace reprise::engine::analysis
