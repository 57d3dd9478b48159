// A memory that runs out: put in front of a server by LD_PRELOAD, it lets every third large
// allocation fail while the file named by FAILING_NEW_WHILE exists.
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

// What grows with the size of a request. Smaller pieces fail only where nothing can be saved.
constexpr std::size_t kLarge = std::size_t{256} << 10;

bool Fails(std::size_t bytes) {
  static std::atomic<unsigned> large{0};
  if (bytes < kLarge) return false;
  const char* armed = std::getenv("FAILING_NEW_WHILE");
  if (armed == nullptr || access(armed, F_OK) != 0) return false;
  return large.fetch_add(1) % 3 == 2;
}

}  // namespace

void* operator new(std::size_t bytes) {
  void* memory = Fails(bytes) ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
