#include "server/batching/waiting_line.h"

#include <algorithm>

#include "engine/check.h"

namespace reprise::server::batching {
namespace {

using TimePoint = SteadyClock::time_point;

// Those that are not told apart. No protocol gives anybody this name.
constexpr std::string_view kEverybodyElse = "";

// Walks from both ends at once, since nearly all requests belong near one of them.
std::int64_t TokensBefore(const Place& place, const ClientLine& line) {
  auto front = line.waiting.begin();
  auto back = line.waiting.end();
  std::int64_t before = 0;
  std::int64_t after = 0;
  while (front != back && front->first < place) {
    before += front->second.tokens;
    ++front;
    if (front == back) break;
    --back;
    if (back->first < place) return line.tokens - after;
    after += back->second.tokens;
  }
  return before;
}

}  // namespace

Place::Place(const QueuedItem& item, std::chrono::nanoseconds horizon)
    : key(std::min(item.deadline, item.queued + horizon)), id(item.id) {}

void WaitingLine::Insert(const QueuedItem& item, std::string_view client) {
  REPRISE_CHECK(item.priority >= 1 && item.priority <= rules_.priority_levels);
  REPRISE_CHECK(whereabouts_.count(item.id) == 0);
  if (item.deadline != TimePoint::max()) deadlines_.emplace(item.deadline, item.id);
  rows_ += item.rows;
  tokens_ += item.tokens;
  score_bytes_ += item.score_bytes;
  PutIn(item, item.priority - 1, client);
}

bool WaitingLine::Remove(ItemId id) {
  const auto found = whereabouts_.find(id);
  if (found == whereabouts_.end()) return false;
  const QueuedItem& item = found->second.item->second;
  deadlines_.erase({item.deadline, id});
  rows_ -= item.rows;
  tokens_ -= item.tokens;
  score_bytes_ -= item.score_bytes;
  TakeOut(found->second);
  whereabouts_.erase(id);
  return true;
}

void WaitingLine::Age(TimePoint now) {
  while (!ageing_.empty() && ageing_.begin()->first <= now) {
    const Whereabouts where = whereabouts_.at(ageing_.begin()->second);
    const QueuedItem item = where.item->second;
    const std::string client = where.client->client;
    TakeOut(where);
    PutIn(item, where.level - 1, client);
  }
}

void WaitingLine::CountOvertaken(ItemId id) { ++whereabouts_.at(id).item->second.overtaken; }

void WaitingLine::Apply(const std::vector<Round>& rounds) {
  for (const Round& round : rounds) {
    Clients& clients = levels_[round.level].clients;
    for (const Round::Turn& turn : round.turns) {
      const Clients::iterator client = by_client_[round.level].at(turn.client);
      client->credit = turn.credit;
      client->on_turn = turn.on_turn;
      clients.splice(clients.end(), clients, client);
    }
  }
}

std::vector<ItemId> WaitingLine::Expired(TimePoint now) const {
  std::vector<ItemId> expired;
  for (const auto& [deadline, id] : deadlines_) {
    if (deadline > now) break;
    expired.push_back(id);
  }
  return expired;
}

TimePoint WaitingLine::next_deadline() const {
  return deadlines_.empty() ? TimePoint::max() : deadlines_.begin()->first;
}

TokensAhead WaitingLine::Ahead(const QueuedItem& item, std::string_view client) const {
  const std::size_t level = item.priority - 1;
  TokensAhead ahead;
  for (std::size_t higher = 0; higher < level; ++higher) ahead.waiting += levels_[higher].tokens;

  const auto found = by_client_[level].find(client);
  const ClientLine* line = found == by_client_[level].end() ? nullptr : &*found->second;
  const std::int64_t own =
      line == nullptr ? 0 : TokensBefore(Place(item, rules_.ordering_horizon), *line);
  ahead.waiting += own;
  const std::int64_t share = own + item.tokens + rules_.turn_tokens;
  for (const ClientLine& other : levels_[level].clients) {
    if (&other == line) continue;
    const std::int64_t waiting = std::min(other.tokens, share);
    ahead.waiting += waiting;
    ahead.to_come += share - waiting;
  }
  return ahead;
}

WaitingLine::Clients::iterator WaitingLine::FindOrAddClient(std::size_t level,
                                                            std::string_view client) {
  auto& known = by_client_[level];
  if (const auto found = known.find(client); found != known.end()) return found->second;
  if (known.size() >= rules_.max_clients && client != kEverybodyElse) {
    return FindOrAddClient(level, kEverybodyElse);
  }
  Clients& clients = levels_[level].clients;
  clients.push_back({.client = std::string(client)});
  const auto added = std::prev(clients.end());
  known.emplace(added->client, added);
  return added;
}

TimePoint WaitingLine::AgeingTime(const QueuedItem& item, std::size_t level) const {
  return item.queued + rules_.ageing * (item.priority - static_cast<std::int64_t>(level));
}

void WaitingLine::PutIn(const QueuedItem& item, std::size_t level, std::string_view client) {
  const Clients::iterator line = FindOrAddClient(level, client);
  const auto placed = line->waiting.emplace(Place(item, rules_.ordering_horizon), item).first;
  line->tokens += item.tokens;
  levels_[level].tokens += item.tokens;
  if (level > 0) ageing_.emplace(AgeingTime(item, level), item.id);
  whereabouts_[item.id] = {level, line, placed};
}

// From its level and client; Remove and Age do the rest.
void WaitingLine::TakeOut(const Whereabouts& where) {
  const QueuedItem item = where.item->second;
  if (where.level > 0) ageing_.erase({AgeingTime(item, where.level), item.id});
  levels_[where.level].tokens -= item.tokens;
  where.client->tokens -= item.tokens;
  where.client->waiting.erase(where.item);
  if (!where.client->waiting.empty()) return;
  by_client_[where.level].erase(where.client->client);
  levels_[where.level].clients.erase(where.client);
}

}  // namespace reprise::server::batching
