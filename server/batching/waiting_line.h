// The requests that wait, by priority, then by client, then by deadline.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "server/request/inference_request.h"

namespace reprise::server::batching {

using ItemId = std::uint64_t;  // ascending in the order of arrival

// What the policy sees of one request.
struct QueuedItem {
  ItemId id = 0;
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::int64_t score_bytes = 0;
  SteadyClock::time_point queued{};
  SteadyClock::time_point deadline = SteadyClock::time_point::max();
  int priority = 1;   // 1 is the highest
  int overtaken = 0;  // batches that took later requests and not this one
};

struct LineRules {
  int priority_levels = 1;
  // After each such time a request moves up by one level. > 0.
  std::chrono::nanoseconds ageing{std::chrono::seconds(1)};
  // A request is ordered by its deadline, but by no later time than this after it was queued.
  std::chrono::nanoseconds ordering_horizon{0};
  // Tokens that a client may send ahead before it is the next client's turn. >= 1.
  std::int64_t turn_tokens = 1;
  // Clients told apart at one level; those that come when so many wait already share a turn. >= 1.
  std::size_t max_clients = 1;
};

// Earliest deadline first, where a request without one, or with a far one, counts as if it had
// `horizon` from the time it was queued; requests with the same key keep the order they came in.
struct Place {
  Place(const QueuedItem& item, std::chrono::nanoseconds horizon);
  friend auto operator<=>(const Place&, const Place&) = default;
  SteadyClock::time_point key;
  ItemId id;
};

// One client's requests at one level, with its state in the deficit round robin over the clients
// (Shreedhar and Varghese, "Efficient Fair Queueing using Deficit Round Robin", 1995).
struct ClientLine {
  std::string client;
  std::map<Place, QueuedItem> waiting{};  // never empty
  std::int64_t tokens = 0;                // of all of `waiting`
  std::int64_t credit = 0;                // tokens it may still send in this turn
  bool on_turn = false;                   // has got the tokens of its present turn
};

// A round robin as a batch leaves it: the clients in the order of their next turns.
struct Round {
  struct Turn {
    std::string_view client;  // of the ClientLine
    std::int64_t credit = 0;
    bool on_turn = false;
  };
  std::size_t level = 0;
  std::vector<Turn> turns{};
};

// Tokens that go before a request.
struct TokensAhead {
  std::int64_t waiting = 0;  // now
  // For which other clients have turns, and nothing waiting yet: what they send goes before, too.
  std::int64_t to_come = 0;
};

// Plain data with an order: knows no clock, no thread and no executor. Insertion and removal take
// time logarithmic in what waits. Not thread-safe.
class WaitingLine {
 public:
  struct Level {
    std::list<ClientLine> clients;  // the first is on turn
    std::int64_t tokens = 0;
  };

  explicit WaitingLine(LineRules rules) : rules_(rules), levels_(rules.priority_levels) {}
  WaitingLine(const WaitingLine&) = delete;
  WaitingLine& operator=(const WaitingLine&) = delete;

  // Requires: item.id is not in the line, item.priority is one of its levels.
  void Insert(const QueuedItem& item, std::string_view client);
  // Whether it was there.
  bool Remove(ItemId id);
  // Moves up whatever has waited long enough.
  void Age(SteadyClock::time_point now);
  void CountOvertaken(ItemId id);  // Requires: it is there
  // Requires: comes from a ServiceOrder of this line, unchanged since.
  void Apply(const std::vector<Round>& rounds);

  // The requests whose deadline has come.
  std::vector<ItemId> Expired(SteadyClock::time_point now) const;
  // max() when nothing that waits has a deadline.
  SteadyClock::time_point next_deadline() const;
  // What would be served before `item` of `client`, were it to join: all of the higher levels, its
  // client's earlier requests, and of every other client with requests as much as its turns allow.
  TokensAhead Ahead(const QueuedItem& item, std::string_view client) const;

  const LineRules& rules() const { return rules_; }
  const std::vector<Level>& levels() const { return levels_; }  // the highest first
  std::size_t size() const { return whereabouts_.size(); }
  bool empty() const { return whereabouts_.empty(); }
  std::int64_t rows() const { return rows_; }
  std::int64_t tokens() const { return tokens_; }
  std::int64_t score_bytes() const { return score_bytes_; }

 private:
  using Clients = std::list<ClientLine>;
  struct Whereabouts {
    std::size_t level;
    Clients::iterator client;
    std::map<Place, QueuedItem>::iterator item;
  };

  Clients::iterator FindOrAddClient(std::size_t level, std::string_view client);
  SteadyClock::time_point AgeingTime(const QueuedItem& item, std::size_t level) const;
  void PutIn(const QueuedItem& item, std::size_t level, std::string_view client);
  void TakeOut(const Whereabouts& where);

  const LineRules rules_;
  std::vector<Level> levels_;
  // By level, then by client, whose string is the ClientLine's.
  std::vector<std::unordered_map<std::string_view, Clients::iterator>> by_client_{levels_.size()};
  std::unordered_map<ItemId, Whereabouts> whereabouts_;
  std::set<std::pair<SteadyClock::time_point, ItemId>> deadlines_;
  std::set<std::pair<SteadyClock::time_point, ItemId>> ageing_;  // when each moves up
  std::int64_t rows_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t score_bytes_ = 0;
};

}  // namespace reprise::server::batching
