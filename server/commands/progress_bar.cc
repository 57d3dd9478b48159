#include "server/commands/progress_bar.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace reprise::server::commands {

ProgressBar::ProgressBar(std::string what)
    : what_(std::move(what)), on_terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() { Clear(); }

void ProgressBar::Show(int done, int total) {
  if (!on_terminal_ || total <= 0) return;
  const int percent = static_cast<int>(100LL * done / total);
  if (percent == shown_percent_) return;
  shown_percent_ = percent;
  constexpr int kWidth = 40;
  const int filled = kWidth * percent / 100;
  std::fprintf(stderr, "\r%s [%s%s] %3d%%", what_.c_str(), std::string(filled, '#').c_str(),
               std::string(kWidth - filled, ' ').c_str(), percent);
  std::fflush(stderr);
}

void ProgressBar::Clear() {
  if (shown_percent_ < 0) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_percent_ = -1;
}

}  // namespace reprise::server::commands
