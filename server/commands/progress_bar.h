// A line on standard error that shows how far a long command is.
#pragma once

#include <string>

namespace reprise::server::commands {

// Draws only when standard error is a terminal, and erases its line when done. Not thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(std::string what);
  ~ProgressBar();  // Clear
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Show(int done, int total);
  void Clear();

 private:
  const std::string what_;
  const bool on_terminal_;
  int shown_percent_ = -1;  // redrawn only when it changes
};

}  // namespace reprise::server::commands
