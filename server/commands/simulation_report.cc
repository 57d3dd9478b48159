#include "server/commands/simulation_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/commands/text_table.h"

namespace reprise::server::commands {
namespace {

using simulation::Arrival;
using simulation::ArrivalTrace;
using simulation::BatchShape;
using simulation::Fate;
using simulation::RequestOutcome;
using simulation::SimulationResult;

constexpr std::size_t kMostClients = 10;

double Milliseconds(std::chrono::nanoseconds time) {
  return 1e-6 * static_cast<double>(time.count());
}

// The label values of the server's metrics.
std::string Name(RefusalReason reason) {
  constexpr std::array<const char*, 11> kNames = {
      "none",        "queue_requests",    "queue_rows", "queue_tokens",
      "queue_bytes", "queue_score_bytes", "deadline",   "quota",
      "draining",    "too_large",         "invalid"};
  return kNames[static_cast<std::size_t>(reason)];
}
std::string Name(BatchCloseReason reason) {
  constexpr std::array<const char*, 8> kNames = {"tokens", "rows",  "scores", "deadline",
                                                 "cost",   "delay", "idle",   "drain"};
  return kNames[static_cast<std::size_t>(reason)];
}

std::string Fixed(double value, int decimals) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string Share(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return "-";
  return Fixed(100.0 * static_cast<double>(part) / static_cast<double>(whole), 1) + " %";
}

// Collects the requests of one row.
struct Traffic {
  TrafficSummary summary;
  std::vector<double> latencies;
  std::vector<double> waits;

  void Add(const RequestOutcome& outcome) {
    ++summary.requests;
    if (outcome.fate == Fate::kInTime) ++summary.in_time;
    if (outcome.fate == Fate::kLate) ++summary.late;
    if (outcome.fate == Fate::kExpired) ++summary.expired;
    if (outcome.fate == Fate::kRefused) ++summary.refused;
    if (outcome.fate != Fate::kInTime && outcome.fate != Fate::kLate) return;
    latencies.push_back(Milliseconds(outcome.latency));
    waits.push_back(Milliseconds(outcome.wait));
  }
  TrafficSummary Finish() {
    summary.latency_ms = PercentilesOf(std::move(latencies));
    summary.wait_ms = PercentilesOf(std::move(waits));
    return summary;
  }
};

template <typename Of>
Percentiles OfBatches(const std::vector<BatchShape>& batches, Of of) {
  std::vector<double> values;
  values.reserve(batches.size());
  for (const BatchShape& batch : batches) values.push_back(static_cast<double>(of(batch)));
  return PercentilesOf(std::move(values));
}

void SummarizeBatches(const SimulationResult& result, int executors, SimulationSummary* summary) {
  summary->batches = static_cast<std::int64_t>(result.batches.size());
  summary->batch_requests = OfBatches(result.batches, [](const auto& b) { return b.requests; });
  summary->batch_tokens = OfBatches(result.batches, [](const auto& b) { return b.tokens; });
  summary->batch_ms = OfBatches(result.batches, [](const auto& b) { return Milliseconds(b.time); });
  double busy_seconds = 0;
  for (const BatchShape& batch : result.batches) {
    ++summary->closed_by_reason[Name(batch.closed)];
    busy_seconds += 1e-3 * Milliseconds(batch.time);
  }
  summary->busy = busy_seconds / (executors * summary->seconds);
}

std::map<std::string, TrafficSummary> LargestClients(std::map<std::string, Traffic> clients) {
  std::vector<std::pair<std::int64_t, std::string>> sizes;
  for (const auto& [name, traffic] : clients) sizes.emplace_back(-traffic.summary.requests, name);
  std::sort(sizes.begin(), sizes.end());
  if (sizes.size() > kMostClients) sizes.resize(kMostClients);
  std::map<std::string, TrafficSummary> largest;
  for (const auto& [size, name] : sizes) largest[name] = clients[name].Finish();
  return largest;
}

std::vector<std::string> Row(const std::string& name, const TrafficSummary& traffic) {
  const auto percent = [&](std::int64_t part) { return Share(part, traffic.requests); };
  return {name,
          absl::StrCat(traffic.requests),
          percent(traffic.in_time),
          percent(traffic.late),
          percent(traffic.expired),
          percent(traffic.refused),
          Fixed(traffic.latency_ms.p50, 1),
          Fixed(traffic.latency_ms.p90, 1),
          Fixed(traffic.latency_ms.p99, 1),
          Fixed(traffic.latency_ms.max, 1),
          Fixed(traffic.wait_ms.p50, 1),
          Fixed(traffic.wait_ms.p99, 1)};
}

std::string Counts(const std::map<std::string, std::int64_t>& counts, std::int64_t whole) {
  std::string text;
  for (const auto& [name, count] : counts) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", name, " ", count, " (", Share(count, whole),
                    ")");
  }
  return text.empty() ? "none" : text;
}

nlohmann::ordered_json ToJson(const Percentiles& percentiles) {
  return {{"p50", percentiles.p50},
          {"p90", percentiles.p90},
          {"p99", percentiles.p99},
          {"max", percentiles.max}};
}

nlohmann::ordered_json ToJson(const TrafficSummary& traffic) {
  return {{"requests", traffic.requests},
          {"in_time", traffic.in_time},
          {"late", traffic.late},
          {"expired", traffic.expired},
          {"refused", traffic.refused},
          {"latency_ms", ToJson(traffic.latency_ms)},
          {"wait_ms", ToJson(traffic.wait_ms)}};
}

}  // namespace

Percentiles PercentilesOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&values](double share) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::max<std::size_t>(rank, 1) - 1];
  };
  return {at(0.50), at(0.90), at(0.99), values.back()};
}

SimulationSummary Summarize(const ArrivalTrace& trace, const SimulationResult& result,
                            int executors) {
  SimulationSummary summary;
  summary.seconds = 1e-3 * Milliseconds(std::max(result.duration, trace.back().at));
  summary.seconds = std::max(summary.seconds, 1e-9);
  Traffic all;
  std::map<int, Traffic> by_priority;
  std::map<std::string, Traffic> by_client;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const Arrival& arrival = trace[i];
    const RequestOutcome& outcome = result.requests[i];
    all.Add(outcome);
    by_priority[arrival.priority].Add(outcome);
    by_client[arrival.client].Add(outcome);
    if (outcome.refusal != RefusalReason::kNone) ++summary.refused_by_reason[Name(outcome.refusal)];
    if (outcome.fate != Fate::kInTime) continue;
    tokens +=
        std::accumulate(arrival.row_tokens.begin(), arrival.row_tokens.end(), std::int64_t{0});
  }
  summary.all = all.Finish();
  summary.goodput = static_cast<double>(summary.all.in_time) / summary.seconds;
  summary.tokens_per_second = static_cast<double>(tokens) / summary.seconds;
  if (by_priority.size() > 1) {
    for (auto& [priority, traffic] : by_priority) summary.by_priority[priority] = traffic.Finish();
  }
  if (by_client.size() > 1) summary.by_client = LargestClients(std::move(by_client));
  SummarizeBatches(result, executors, &summary);
  return summary;
}

std::string ToText(const SimulationSummary& summary) {
  std::vector<std::vector<std::string>> rows = {{"requests of", "count", "in time", "late",
                                                 "expired", "refused", "p50 ms", "p90 ms", "p99 ms",
                                                 "max ms", "wait p50", "wait p99"}};
  rows.push_back(Row("all", summary.all));
  for (const auto& [priority, traffic] : summary.by_priority) {
    rows.push_back(
        Row(priority == 0 ? "default priority" : absl::StrCat("priority ", priority), traffic));
  }
  for (const auto& [client, traffic] : summary.by_client) {
    rows.push_back(Row(client.empty() ? "client without name" : "client " + client, traffic));
  }
  std::vector<bool> left(rows[0].size(), false);
  left[0] = true;
  std::string text = DrawTable(rows, left);
  absl::StrAppend(&text, "Latency and wait: of answered requests.\n\n");
  absl::StrAppend(&text, "goodput        ", Fixed(summary.goodput, 1), " requests/s, ",
                  Fixed(summary.tokens_per_second, 0), " tokens/s, over ",
                  Fixed(summary.seconds, 1), " s\n");
  absl::StrAppend(&text, "refused        ", Counts(summary.refused_by_reason, summary.all.requests),
                  "\n");
  const auto shape = [&text](const char* what, const Percentiles& p, int decimals) {
    absl::StrAppend(&text, what, Fixed(p.p50, decimals), " p50, ", Fixed(p.p90, decimals), " p90, ",
                    Fixed(p.p99, decimals), " p99, ", Fixed(p.max, decimals), " max\n");
  };
  absl::StrAppend(&text, "batches        ", summary.batches, ", executors busy ",
                  Fixed(100 * summary.busy, 1), " %\n");
  shape("  requests     ", summary.batch_requests, 0);
  shape("  tokens       ", summary.batch_tokens, 0);
  shape("  milliseconds ", summary.batch_ms, 1);
  absl::StrAppend(&text, "  closed by    ", Counts(summary.closed_by_reason, summary.batches),
                  "\n");
  return text;
}

nlohmann::ordered_json ToJson(const SimulationSummary& summary) {
  nlohmann::ordered_json by_priority = nlohmann::ordered_json::object();
  for (const auto& [priority, traffic] : summary.by_priority) {
    by_priority[absl::StrCat(priority)] = ToJson(traffic);
  }
  nlohmann::ordered_json by_client = nlohmann::ordered_json::object();
  for (const auto& [client, traffic] : summary.by_client) by_client[client] = ToJson(traffic);
  return {{"seconds", summary.seconds},
          {"all", ToJson(summary.all)},
          {"goodput_requests_per_second", summary.goodput},
          {"goodput_tokens_per_second", summary.tokens_per_second},
          {"by_priority", by_priority},
          {"by_client", by_client},
          {"refused_by_reason", summary.refused_by_reason},
          {"batches",
           {{"count", summary.batches},
            {"requests", ToJson(summary.batch_requests)},
            {"tokens", ToJson(summary.batch_tokens)},
            {"milliseconds", ToJson(summary.batch_ms)},
            {"closed_by_reason", summary.closed_by_reason}}},
          {"executors_busy", summary.busy}};
}

}  // namespace reprise::server::commands
