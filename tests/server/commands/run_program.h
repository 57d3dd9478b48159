// Starts the built program as a user would, and watches what it prints and how it ends.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace reprise::testing {

// A running child. Its standard output and standard error arrive in one text, in order. The
// destructor kills it if it still runs. Not thread-safe.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), REPRISE_PROGRAM);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_end_ = ends[0];
  }
  ~Program() {
    if (!status_.has_value()) {
      Signal(SIGKILL);
      Wait();
    }
    close(output_end_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void Signal(int signal) const {
    if (pid_ > 0) kill(pid_, signal);
  }

  // The rest of the first line that holds `text`, beginning with it; empty if the program ends or
  // `limit` passes first.
  std::string WaitFor(const std::string& text,
                      std::chrono::seconds limit = std::chrono::seconds(60)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (true) {
      const std::size_t found = output_.find(text);
      if (found != std::string::npos) {
        const std::size_t line_end = output_.find('\n', found);
        if (line_end != std::string::npos) return output_.substr(found, line_end - found);
      }
      if (!ReadMore(deadline)) return "";
    }
  }

  // Exit status, or 128 + the signal that ended the program. Kills it after two minutes.
  int Wait() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (ReadMore(deadline)) {
    }
    if (std::chrono::steady_clock::now() >= deadline) Signal(SIGKILL);
    if (!status_.has_value()) {
      int status = 0;
      waitpid(pid_, &status, 0);
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return *status_;
  }

  const std::string& output() const { return output_; }  // what has arrived so far

 private:
  // False at the end of the output or at the deadline.
  bool ReadMore(std::chrono::steady_clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd ready{output_end_, POLLIN, 0};
    if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) <= 0) return false;
    char buffer[4096];
    const ssize_t got = read(output_end_, buffer, sizeof(buffer));
    if (got <= 0) return false;
    output_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  pid_t pid_ = -1;
  int output_end_ = -1;
  std::string output_;
  std::optional<int> status_;
};

struct ProgramResult {
  int status = -1;
  std::string output;
};

inline ProgramResult RunProgram(std::vector<std::string> arguments) {
  Program program(std::move(arguments));
  const int status = program.Wait();
  return {status, program.output()};
}

}  // namespace reprise::testing
