#include "server/trace/trace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/trace/traces.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::trace {
namespace {

using reprise::testing::StatusIs;
using testing::AnsweredCall;
using ::testing::HasSubstr;
using testing::SpansOf;

constexpr int kSpansOfACall = 6;

// Counts spans by their fate.
class SpanCounts final : public Observer {
 public:
  void OnSpans(SpanFate fate, std::int64_t spans, std::string_view reason) override {
    MutexLock lock(mutex_);
    counts_[static_cast<std::size_t>(fate)] += spans;
    if (!reason.empty()) reason_ = std::string(reason);
  }
  std::int64_t of(SpanFate fate) {
    MutexLock lock(mutex_);
    return counts_[static_cast<std::size_t>(fate)];
  }
  std::string reason() {
    MutexLock lock(mutex_);
    return reason_;
  }

 private:
  Mutex mutex_;
  std::int64_t counts_[3] = {};
  std::string reason_;
};

class TraceFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<TraceFile>> Open(const std::string& path,
                                                  std::size_t max_queued_calls = 4096) {
    return TraceFile::Open({.path = path, .max_queued_calls = max_queued_calls}, counts_);
  }
  std::string InFolder(const std::string& name) { return folder_ / name; }
  static std::vector<std::string> Lines(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  reprise::testing::TemporaryDirectory folder_;
  SpanCounts counts_;
};

TEST_F(TraceFileTest, WritesALineForEachCallBeforeItCloses) {
  const std::string path = InFolder("spans.jsonl");
  for (int run = 0; run < 2; ++run) {  // the second adds to what the first wrote
    auto file = Open(path);
    ASSERT_OK(file);
    for (int i = 0; i < 100; ++i) (*file)->Write(AnsweredCall());
  }
  const std::vector<std::string> lines = Lines(path);
  EXPECT_EQ(lines.size(), 200u);
  for (const std::string& line : lines) {
    ASSERT_EQ(SpansOf(line).size(), static_cast<std::size_t>(kSpansOfACall));
  }
  EXPECT_EQ(counts_.of(SpanFate::kWritten), 200 * kSpansOfACall);
}

TEST_F(TraceFileTest, AFileThatCannotBeOpenedIsAClearError) {
  EXPECT_THAT(Open(InFolder("missing/spans.jsonl")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("missing/spans.jsonl' for writing: No such file or directory")));
  EXPECT_THAT(Open(folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("directory")));
}

TEST_F(TraceFileTest, AFullDiskLosesSpansAndSaysWhy) {
  auto file = Open("/dev/full");
  ASSERT_OK(file);
  (*file)->Write(AnsweredCall());
  (*file)->Write(AnsweredCall());
  file->reset();
  EXPECT_EQ(counts_.of(SpanFate::kWriteFailed), 2 * kSpansOfACall);
  EXPECT_EQ(counts_.of(SpanFate::kWritten), 0);
  EXPECT_THAT(counts_.reason(), HasSubstr("No space left on device"));
}

TEST_F(TraceFileTest, APipeThatNobodyReadsHoldsNothingUp) {
  constexpr int kCalls = 200;
  const std::string path = InFolder("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(Open(path), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pipe")));
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  auto file = Open(path);
  ASSERT_OK(file);
  for (int i = 0; i < kCalls; ++i) (*file)->Write(AnsweredCall());  // more than a pipe holds
  file->reset();
  close(reader);
  EXPECT_GT(counts_.of(SpanFate::kWritten), 0);
  EXPECT_GT(counts_.of(SpanFate::kWriteFailed), 0);
  EXPECT_EQ(counts_.of(SpanFate::kWritten) + counts_.of(SpanFate::kWriteFailed) +
                counts_.of(SpanFate::kQueueFull),
            kCalls * kSpansOfACall);
}

TEST_F(TraceFileTest, EverySpanHasOneFateWhileManyThreadsWriteIntoAShortQueue) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 500;
  const std::string path = InFolder("spans.jsonl");
  auto file = Open(path, /*max_queued_calls=*/2);
  ASSERT_OK(file);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kCalls; ++n) (*file)->Write(AnsweredCall());
    });
  }
  for (std::thread& thread : threads) thread.join();
  file->reset();
  EXPECT_GT(counts_.of(SpanFate::kQueueFull), 0);
  EXPECT_EQ(counts_.of(SpanFate::kWritten) + counts_.of(SpanFate::kQueueFull),
            kThreads * kCalls * kSpansOfACall);
  EXPECT_EQ(counts_.of(SpanFate::kWritten),
            static_cast<std::int64_t>(Lines(path).size()) * kSpansOfACall);
}

}  // namespace
}  // namespace reprise::server::trace
