#include "server/batching/batching_options.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::batching {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(BatchingOptions, DefaultsAreValid) { EXPECT_OK(Validate(BatchingOptions())); }

struct OutOfRange {
  std::string field;
  std::function<void(BatchingOptions*)> set;
};

class OutOfRangeTest : public ::testing::TestWithParam<OutOfRange> {};

TEST_P(OutOfRangeTest, IsInvalidArgumentThatNamesTheField) {
  BatchingOptions options;
  GetParam().set(&options);
  EXPECT_THAT(Validate(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(GetParam().field), HasSubstr("expected"))));
}

INSTANTIATE_TEST_SUITE_P(
    BatchingOptions, OutOfRangeTest,
    ::testing::Values(
        OutOfRange{"max_batch_size", [](auto* o) { o->max_batch_size = 0; }},
        OutOfRange{"max_batch_size", [](auto* o) { o->max_batch_size = 65537; }},
        OutOfRange{"max_batch_tokens", [](auto* o) { o->max_batch_tokens = -1; }},
        OutOfRange{"max_batch_score_bytes", [](auto* o) { o->max_batch_score_bytes = 0; }},
        OutOfRange{"max_queue_delay_us", [](auto* o) { o->max_queue_delay_us = 10000001; }},
        OutOfRange{"max_queue_requests", [](auto* o) { o->max_queue_requests = 0; }},
        OutOfRange{"max_queue_rows", [](auto* o) { o->max_queue_rows = o->max_batch_size - 1; }},
        OutOfRange{"max_queue_tokens",
                   [](auto* o) {
                     o->max_batch_tokens = 100;
                     o->max_queue_tokens = 99;
                   }},
        OutOfRange{"max_queue_bytes", [](auto* o) { o->max_queue_bytes = -5; }},
        OutOfRange{"max_queue_score_bytes", [](auto* o) { o->max_queue_score_bytes = 0; }},
        OutOfRange{"ordering_horizon_ms",
                   [](auto* o) { o->ordering_horizon = std::chrono::milliseconds(-1); }},
        OutOfRange{"max_overtakes", [](auto* o) { o->max_overtakes = -1; }},
        OutOfRange{"queue_timeout_ms",
                   [](auto* o) { o->queue_timeout = std::chrono::milliseconds(-1); }},
        OutOfRange{"priority_levels", [](auto* o) { o->priority_levels = 0; }},
        OutOfRange{"default_priority", [](auto* o) { o->default_priority = 4; }},
        OutOfRange{"priority_ageing_ms",
                   [](auto* o) { o->priority_ageing = std::chrono::milliseconds(0); }},
        OutOfRange{"max_client_keys", [](auto* o) { o->max_client_keys = 0; }}));

}  // namespace
}  // namespace reprise::server::batching
