// Walks through a waiting line in the order in which it is to be served.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <vector>

#include "server/batching/waiting_line.h"

namespace reprise::server::batching {

// Level by level, within a level round robin over the clients, each for turn_tokens at a time and
// by its own order. Who calls says of each request whether it is taken; a client pays only for
// these. Changes nothing: Rounds is what to apply to the line afterwards. Not thread-safe.
class ServiceOrder {
 public:
  // `line` must outlive this, unchanged.
  explicit ServiceOrder(const WaitingLine& line) : line_(line) {}

  const QueuedItem* Next();  // null after the last
  void Take();               // Requires: Next has returned a request; once for each
  // The round robins of the levels that something was taken from. Clients without a request left
  // are not in it.
  std::vector<Round> Rounds() const;

 private:
  struct Turn {
    const ClientLine* line = nullptr;
    std::map<Place, QueuedItem>::const_iterator next{};
    std::int64_t credit = 0;
    bool on_turn = false;
    int passed = 0;  // requests that were not taken
  };

  bool OpenNextLevel();

  const WaitingLine& line_;
  std::size_t levels_opened_ = 0;
  std::deque<Turn> turns_;     // of the level that is open; the first is on turn
  std::vector<Turn> skipped_;  // those of them that have seen all their requests, not all taken
  bool taken_ = false;         // something of this level
  const QueuedItem* current_ = nullptr;
  std::vector<Round> closed_;
};

}  // namespace reprise::server::batching
