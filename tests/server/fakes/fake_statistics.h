// Statistics that a test has written.
#pragma once

#include <vector>

#include "server/request/model_statistics.h"

namespace reprise::server::testing {

struct FakeStatistics final : public StatisticsSource {
  std::vector<VersionStatistics> Statistics() const override { return versions; }

  std::vector<VersionStatistics> versions;  // not to be changed while a call is under way
};

}  // namespace reprise::server::testing
