#include "server/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/metric_catalogue.h"
#include "server/metrics/metrics_observer.h"
#include "tests/status_matchers.h"

namespace reprise::server::metrics {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string HttpGet(int port, const std::string& path) {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  std::string reply;
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    if (send(descriptor, request.data(), request.size(), 0) ==
        static_cast<ssize_t>(request.size())) {
      char buffer[4096];
      for (ssize_t got; (got = recv(descriptor, buffer, sizeof(buffer), 0)) > 0;) {
        reply.append(buffer, static_cast<std::size_t>(got));
      }
    }
  }
  close(descriptor);
  return reply;
}

struct StatisticsOfOne final : StatisticsSource {
  std::vector<VersionStatistics> Statistics() const override {
    return {{.model = "demo", .version = "1", .ready = true}};
  }
};

struct NoStatistics final : StatisticsSource {
  std::vector<VersionStatistics> Statistics() const override { return {}; }
};

// Value of a series without labels; NaN when it is not there.
double Value(const std::string& scrape, const std::string& name) {
  std::istringstream lines(scrape);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) return std::stod(line.substr(name.size()));
  }
  return std::nan("");
}

TEST(MetricsServer, ServesEveryDeclaredFamilyOnce) {
  MetricsRegistry registry;
  StatisticsOfOne statistics;
  MetricsObserver observer(registry, {.version = "0.1.0", .commit = "abc"});
  observer.OnModelState("demo", "1", ModelState::kLoading, "loading");
  auto server = MetricsServer::Start({.port = 0}, registry, statistics);
  ASSERT_OK(server);
  const std::string scrape = HttpGet((*server)->port(), "/metrics");
  EXPECT_THAT(scrape, StartsWith("HTTP/1.1 200"));
  std::map<std::string, int> types;
  std::istringstream lines(scrape);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, type, name;
    if (words >> hash >> type >> name && hash == "#" && type == "TYPE") ++types[name];
  }
  // Families whose series only a loaded model has, or only TLS.
  const std::map<std::string, int> later = {{"reprise_arena_bytes", 0},
                                            {"reprise_executor_busy_seconds_total", 0},
                                            {"reprise_tls_certificate_expiry_timestamp_seconds", 0},
                                            {"reprise_model_info", 0},
                                            {"reprise_model_load_seconds", 0},
                                            {"reprise_executors", 0},
                                            {"reprise_scores_total", 0},
                                            {"reprise_reuse_planned_ratio", 0}};
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    const std::string name(metric->name);
    EXPECT_EQ(types[name], later.contains(name) ? 0 : 1) << name;
  }
}

TEST(MetricsServer, ReportsTheProcessItself) {
  MetricsRegistry registry;
  NoStatistics statistics;
  auto server = MetricsServer::Start({.port = 0}, registry, statistics);
  ASSERT_OK(server);
  const std::string scrape = HttpGet((*server)->port(), "/metrics");
  EXPECT_GT(Value(scrape, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(Value(scrape, "process_virtual_memory_bytes"),
            Value(scrape, "process_resident_memory_bytes"));
  EXPECT_GE(Value(scrape, "process_open_fds"), 4);  // standard streams and the listening socket
  EXPECT_GE(Value(scrape, "process_max_fds"), Value(scrape, "process_open_fds"));
  EXPECT_GE(Value(scrape, "process_cpu_seconds_total"), 0);
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(Value(scrape, "process_start_time_seconds"), now + 2);
  EXPECT_GT(Value(scrape, "process_start_time_seconds"), now - 600);
}

TEST(MetricsServer, StopsWithinAMomentAfterServing) {
  MetricsRegistry registry;
  NoStatistics statistics;
  auto server = MetricsServer::Start({.port = 0}, registry, statistics);
  ASSERT_OK(server);
  HttpGet((*server)->port(), "/metrics");
  const auto begin = std::chrono::steady_clock::now();
  server->reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

TEST(MetricsServer, APortThatIsTakenIsAClearError) {
  MetricsRegistry registry;
  NoStatistics statistics;
  auto first = MetricsServer::Start({.port = 0}, registry, statistics);
  ASSERT_OK(first);
  EXPECT_THAT(MetricsServer::Start({.port = (*first)->port()}, registry, statistics),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("127.0.0.1:" + std::to_string((*first)->port()))));
}

TEST(MetricsServer, APortOutOfRangeIsInvalid) {
  MetricsRegistry registry;
  NoStatistics statistics;
  EXPECT_THAT(MetricsServer::Start({.port = 70000}, registry, statistics),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0..65535")));
}

TEST(MetricsServer, AHostThatIsNotOursIsAnError) {
  MetricsRegistry registry;
  NoStatistics statistics;
  EXPECT_THAT(MetricsServer::Start({.host = "192.0.2.1", .port = 0}, registry, statistics),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("192.0.2.1")));
}

}  // namespace
}  // namespace reprise::server::metrics
