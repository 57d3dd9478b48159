#include "server/security/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace reprise::server::security {
namespace {

constexpr off_t kMaxBytes = off_t{1} << 20;

class Descriptor {
 public:
  // Not blocking: opening a pipe that nobody writes to would otherwise hang.
  explicit Descriptor(const std::string& path)
      : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  const int number_;
};

absl::Status CannotRead(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("cannot read '", path, "': ", std::strerror(errno),
                                          "; check the path, and who may read the file"));
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  const Descriptor file(path);
  struct stat facts {};
  if (file.number() < 0 || fstat(file.number(), &facts) != 0) return CannotRead(path);
  if (!S_ISREG(facts.st_mode) || facts.st_size > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' is not a file of at most ", kMaxBytes, " bytes"));
  }
  std::string bytes;
  char buffer[16384];
  while (true) {
    const ssize_t got = read(file.number(), buffer, sizeof(buffer));
    if (got == 0) return bytes;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CannotRead(path);
    bytes.append(buffer, static_cast<std::size_t>(got));
    if (bytes.size() > kMaxBytes) {  // it grew while it was read
      return absl::InvalidArgumentError(
          absl::StrCat("'", path, "' is larger than ", kMaxBytes, " bytes"));
    }
  }
}

}  // namespace reprise::server::security
