// REPRISE_CHECK ends the process on a broken invariant of our own code; input never triggers it.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::internal {
[[noreturn]] inline void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: internal error, please report: %s does not hold\n", file, line,
               condition);
  std::abort();
}
}  // namespace reprise::internal

#define REPRISE_CHECK(condition)                                        \
  do {                                                                  \
    if (!(condition)) {                                                 \
      ::reprise::internal::CheckFailed(#condition, __FILE__, __LINE__); \
    }                                                                   \
  } while (false)

// Returns the status of `expression` from the calling function if it is not OK.
#define REPRISE_RETURN_IF_ERROR(expression)                                 \
  do {                                                                      \
    if (absl::Status reprise_status = (expression); !reprise_status.ok()) { \
      return reprise_status;                                                \
    }                                                                       \
  } while (false)

#define REPRISE_CONCAT_INNER(a, b) a##b
#define REPRISE_CONCAT(a, b) REPRISE_CONCAT_INNER(a, b)

// Declares or assigns `target` from a StatusOr expression, or returns its status.
#define REPRISE_ASSIGN_OR_RETURN(target, expression) \
  REPRISE_ASSIGN_OR_RETURN_IMPL(REPRISE_CONCAT(reprise_statusor_, __LINE__), target, expression)
#define REPRISE_ASSIGN_OR_RETURN_IMPL(statusor, target, expression) \
  auto statusor = (expression);                                     \
  if (!statusor.ok()) {                                             \
    return std::move(statusor).status();                            \
  }                                                                 \
  target = std::move(statusor).value()
