#include "server/batching/service_order.h"

#include <iterator>

#include "engine/check.h"

namespace reprise::server::batching {

const QueuedItem* ServiceOrder::Next() {
  current_ = nullptr;
  while (true) {
    if (turns_.empty()) {
      if (!OpenNextLevel()) return nullptr;
      continue;
    }
    Turn& turn = turns_.front();
    if (turn.next == turn.line->waiting.end()) {
      if (turn.passed > 0) skipped_.push_back(turn);
      turns_.pop_front();
      continue;
    }
    if (!turn.on_turn) {
      turn.credit += line_.rules().turn_tokens;
      turn.on_turn = true;
    }
    if (turn.next->second.tokens <= turn.credit) {
      current_ = &turn.next->second;
      ++turn.next;
      ++turn.passed;  // unless Take says otherwise
      return current_;
    }
    turn.on_turn = false;
    turns_.push_back(turn);
    turns_.pop_front();
  }
}

void ServiceOrder::Take() {
  REPRISE_CHECK(current_ != nullptr);
  Turn& turn = turns_.front();
  turn.credit -= current_->tokens;
  --turn.passed;
  taken_ = true;
  current_ = nullptr;
}

bool ServiceOrder::OpenNextLevel() {
  closed_ = Rounds();
  taken_ = false;
  skipped_.clear();
  if (levels_opened_ == line_.levels().size()) return false;
  for (const ClientLine& client : line_.levels()[levels_opened_].clients) {
    turns_.push_back({.line = &client,
                      .next = client.waiting.begin(),
                      .credit = client.credit,
                      .on_turn = client.on_turn});
  }
  ++levels_opened_;
  return true;
}

std::vector<Round> ServiceOrder::Rounds() const {
  std::vector<Round> rounds = closed_;
  if (!taken_) return rounds;
  Round round{.level = levels_opened_ - 1};
  const auto add = [&round](const Turn& turn) {
    round.turns.push_back({turn.line->client, turn.credit, turn.on_turn});
  };
  // Those whose requests did not fit this time are first next time.
  for (const Turn& turn : skipped_) add(turn);
  for (const Turn& turn : turns_) add(turn);
  rounds.push_back(std::move(round));
  return rounds;
}

}  // namespace reprise::server::batching
