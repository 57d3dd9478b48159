#include "tests/engine/cuda/emulated_thread.h"

#include <ucontext.h>

namespace reprise::engine::cuda {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;
constexpr int kLanes = 32;

EmulatedBlock* current_block = nullptr;

float Element(std::uint32_t pair, int which) {
  return BFloat16{static_cast<std::uint16_t>(which == 0 ? pair : pair >> 16)}.ToFloat();
}

void Arrive(const EmulatedBlock::Copy& copy) {
  if (copy.from == nullptr) {
    std::memset(copy.to, 0, 16);
  } else {
    std::memcpy(copy.to, copy.from, 16);
  }
}

}  // namespace

struct EmulatedBlock::Fibers {
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<std::byte[]> stack;
    bool finished = false;
    int waits_for_generation = -1;  // of the block's meeting to end
  };
  std::vector<Fiber> all;
  ucontext_t scheduler;
  int running = 0;

  static void Enter() {
    EmulatedBlock& block = Current();
    block.body_(block.fibers_->running);
    block.fibers_->all[block.fibers_->running].finished = true;
    swapcontext(&block.fibers_->all[block.fibers_->running].context, &block.fibers_->scheduler);
  }
};

EmulatedBlock::EmulatedBlock(int threads, Manner manner, std::function<void(int)> body)
    : threads_(threads),
      manner_(manner),
      body_(std::move(body)),
      fibers_(std::make_unique<Fibers>()),
      meetings_(1 + threads / kLanes),
      lanes_(threads),
      copies_(threads, {{}}) {
  REPRISE_CHECK(threads % kLanes == 0);
  fibers_->all.resize(threads);
}

EmulatedBlock::~EmulatedBlock() = default;

EmulatedBlock& EmulatedBlock::Current() { return *current_block; }

void EmulatedBlock::Run() {
  current_block = this;
  for (Fibers::Fiber& fiber : fibers_->all) {
    fiber.stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
    getcontext(&fiber.context);
    fiber.context.uc_stack = {.ss_sp = fiber.stack.get(), .ss_flags = 0, .ss_size = kStackBytes};
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &Fibers::Enter, 0);
  }
  const int warps = threads_ / kLanes;
  for (bool some_left = true; some_left;) {
    some_left = false;
    for (int warp = 0; warp < warps; ++warp) {
      some_left = RunWarp(manner_.backwards ? warps - 1 - warp : warp) || some_left;
    }
  }
  current_block = nullptr;
}

// As far as it gets without the other warps; whether some of its threads are left.
bool EmulatedBlock::RunWarp(int warp) {
  bool some_left = false;
  for (bool some_ran = true; some_ran;) {
    some_ran = some_left = false;
    for (int lane = 0; lane < kLanes; ++lane) {
      fibers_->running = warp * kLanes + (manner_.backwards ? kLanes - 1 - lane : lane);
      Fibers::Fiber& fiber = fibers_->all[fibers_->running];
      if (fiber.finished) continue;
      some_left = true;
      if (fiber.waits_for_generation == meetings_[0].generation) continue;
      swapcontext(&fibers_->scheduler, &fiber.context);
      some_ran = true;
    }
  }
  return some_left;
}

void EmulatedBlock::Yield() {
  swapcontext(&fibers_->all[fibers_->running].context, &fibers_->scheduler);
}

void EmulatedBlock::Meet(int group, const std::function<void()>& complete) {
  Meeting& meeting = meetings_[1 + group];
  const int expected = group < 0 ? threads_ : kLanes;
  const int generation = meeting.generation;
  if (++meeting.arrived == expected) {
    complete();
    meeting.arrived = 0;
    ++meeting.generation;
    return;
  }
  if (group < 0) fibers_->all[fibers_->running].waits_for_generation = generation;
  while (meeting.generation == generation) Yield();
}

float EmulatedThread::ShuffleXor(float value, int mask) const {
  EmulatedBlock& block = EmulatedBlock::Current();
  const int first = warp() * kLanes;
  block.lane(index_).value = value;
  block.Meet(warp(), [&] {
    for (int lane = 0; lane < kLanes; ++lane) {
      block.lane(first + lane).c[0] = block.lane(first + (lane ^ mask)).value;
    }
  });
  return block.lane(index_).c[0];
}

// The lane's group is lane / 4, its place in the group lane % 4. It holds of a rows group and group
// + 8, of b column group, of c rows group and group + 8, columns 2 * place and the next.
void EmulatedThread::MultiplyAdd(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                 std::uint32_t b1) const {
  EmulatedBlock& block = EmulatedBlock::Current();
  const int first = warp() * kLanes;
  EmulatedBlock::Lane& own = block.lane(index_);
  std::memcpy(own.a, a, sizeof(a));
  std::memcpy(own.c, c, sizeof(c));
  own.b[0] = b0;
  own.b[1] = b1;
  block.Meet(warp(), [&] {
    float left[16][16];
    float right[16][8];
    for (int lane = 0; lane < kLanes; ++lane) {
      const EmulatedBlock::Lane& from = block.lane(first + lane);
      for (int part = 0; part < 4; ++part) {
        for (int which = 0; which < 2; ++which) {
          left[lane / 4 + part % 2 * 8][lane % 4 * 2 + which + part / 2 * 8] =
              Element(from.a[part], which);
        }
      }
      for (int part = 0; part < 2; ++part) {
        for (int which = 0; which < 2; ++which) {
          right[lane % 4 * 2 + which + part * 8][lane / 4] = Element(from.b[part], which);
        }
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int part = 0; part < 4; ++part) {
        float& sum = block.lane(first + lane).c[part];
        for (int k = 0; k < 16; ++k) {
          sum += left[lane / 4 + part / 2 * 8][k] * right[k][lane % 4 * 2 + part % 2];
        }
      }
    }
  });
  std::memcpy(c, own.c, sizeof(c));
}

void EmulatedThread::Load(std::uint32_t (&to)[4], const std::byte* row, bool transposed) const {
  EmulatedBlock& block = EmulatedBlock::Current();
  const int first = warp() * kLanes;
  REPRISE_CHECK(reinterpret_cast<std::uintptr_t>(row) % 16 == 0);
  block.lane(index_).row = row;
  block.Meet(warp(), [&] {
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int matrix = 0; matrix < 4; ++matrix) {
        std::uint16_t pair[2];
        for (int which = 0; which < 2; ++which) {
          const int along = lane % 4 * 2 + which;
          const int from_row = transposed ? along : lane / 4;
          const int from_column = transposed ? lane / 4 : along;
          std::memcpy(&pair[which], block.lane(first + matrix * 8 + from_row).row + from_column * 2,
                      2);
        }
        block.lane(first + lane).loaded[matrix] = pair[0] | static_cast<std::uint32_t>(pair[1])
                                                                << 16;
      }
    }
  });
  std::memcpy(to, block.lane(index_).loaded, sizeof(to));
}

void EmulatedThread::CopyAsync(std::byte* to, const void* from, bool valid) const {
  REPRISE_CHECK(reinterpret_cast<std::uintptr_t>(to) % 16 == 0);
  REPRISE_CHECK(!valid || reinterpret_cast<std::uintptr_t>(from) % 16 == 0);
  EmulatedBlock& block = EmulatedBlock::Current();
  const EmulatedBlock::Copy copy = {to, valid ? from : nullptr};
  if (block.manner().eager_copies) return Arrive(copy);
  block.copies(index_).back().push_back(copy);
}

void EmulatedThread::CommitCopies() const {
  EmulatedBlock::Current().copies(index_).emplace_back();
}

void EmulatedThread::WaitUntilLeft(std::size_t groups) const {
  auto& copies = EmulatedBlock::Current().copies(index_);
  while (copies.size() > groups + 1) {  // one is open
    for (const EmulatedBlock::Copy& copy : copies.front()) Arrive(copy);
    copies.erase(copies.begin());
  }
}

}  // namespace reprise::engine::cuda
