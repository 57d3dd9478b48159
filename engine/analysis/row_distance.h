// Distances between rows of probabilities, all pairs at once.
#pragma once

#include <cstdint>
#include <span>

namespace reprise::engine::analysis {

// distances[pair] += sum_k |rows[i][k] - rows[j][k]| for every pair i < j, row by row of pairs:
// (0,1), (0,2), ..., (1,2), ... Rows have `columns` elements, a multiple of 16, aligned to 64
// bytes. Sums of a row run in fp32, over lanes: an error of some 1e-7 of rows that sum up to 1
// each.
void AddRowDistances(std::span<const float* const> rows, std::int64_t columns,
                     std::span<double> distances);

}  // namespace reprise::engine::analysis
