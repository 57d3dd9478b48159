// reprise_overhead: what the server adds to a call, measured against a bare gRPC echo.
//
// Two processes: a child holds both servers, the parent calls them in turns. Each is bound to a
// core of its own, so that neither disturbs the other.
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "inference/grpc_service.pb.h"
#include "loadtest/generator/latency_histogram.h"
#include "loadtest/overhead/echo_server.h"
#include "loadtest/overhead/noop_server.h"
#include "loadtest/overhead/round_trips.h"
#include "nlohmann/json.hpp"
#include "server/commands/exit_status.h"
#include "server/commands/progress_bar.h"

namespace reprise::loadtest {
namespace {

using server::commands::ExitStatus;
using Times = std::vector<std::chrono::nanoseconds>;

struct Options {
  int rounds = 40;
  int calls = 500;
  int seq_len = 128;
  std::string json;
};

struct Ports {
  int noop = 0;
  int echo = 0;
};

void BindToCore(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (sched_setaffinity(0, sizeof(cores), &cores) != 0) {
    std::fprintf(stderr, "not bound to core %d: caller and servers may share one\n", core);
  }
}

// The child: serves until the parent ends. Never returns.
[[noreturn]] void ServeBoth(int ports_pipe) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  BindToCore(1);
  std::string folder = (std::filesystem::temp_directory_path() / "reprise-noop-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) _exit(1);
  const auto noop = NoopServer::Start(folder + "/model");
  std::filesystem::remove_all(folder);
  const auto echo = EchoServer::Start();
  for (const absl::Status& status : {noop.status(), echo.status()}) {
    if (status.ok()) continue;
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    _exit(1);
  }
  const Ports ports{(*noop)->port(), (*echo)->port()};
  if (write(ports_pipe, &ports, sizeof(ports)) != sizeof(ports)) _exit(1);
  while (true) pause();
}

absl::StatusOr<Ports> StartServers(pid_t* child) {
  int ends[2];
  if (pipe(ends) != 0) return absl::InternalError("cannot make a pipe");
  *child = fork();  // before gRPC has started threads in this process
  if (*child < 0) return absl::InternalError("cannot start a process");
  if (*child == 0) ServeBoth(ends[1]);
  close(ends[1]);
  Ports ports;
  const bool read_all = read(ends[0], &ports, sizeof(ports)) == sizeof(ports);
  close(ends[0]);
  if (!read_all) return absl::InternalError("the servers did not start");
  return ports;
}

::grpc::ByteBuffer Request(int seq_len) {
  inference::ModelInferRequest request;
  request.set_model_name(kNoopModel);
  auto& input = *request.add_inputs();
  input.set_name("input_ids");
  input.set_datatype("INT64");
  input.add_shape(1);
  input.add_shape(seq_len);
  const std::vector<std::int64_t> ids(seq_len, 7);
  request.add_raw_input_contents(ids.data(), ids.size() * sizeof(ids[0]));
  request.add_outputs()->set_name("sentence_embedding");
  const ::grpc::Slice slice(request.SerializeAsString());
  return {&slice, 1};
}

double Microseconds(const Times& times, double percent) {
  LatencyHistogram histogram;
  for (const std::chrono::nanoseconds time : times) histogram.Record(time);
  return std::chrono::duration<double, std::micro>(histogram.Percentile(percent)).count();
}

absl::Status Measure(const Options& options, const Ports& ports) {
  RoundTrips noop(ports.noop, "/inference.GRPCInferenceService/ModelInfer",
                  Request(options.seq_len));
  RoundTrips echo(ports.echo, "/echo", Request(options.seq_len));
  Times noop_times, echo_times;
  REPRISE_RETURN_IF_ERROR(noop.Run(options.calls, &noop_times));  // not counted
  REPRISE_RETURN_IF_ERROR(echo.Run(options.calls, &echo_times));
  noop_times.clear();
  echo_times.clear();
  server::commands::ProgressBar bar("overhead");
  for (int round = 0; round < options.rounds; ++round) {
    bar.Show(round, options.rounds);
    REPRISE_RETURN_IF_ERROR(noop.Run(options.calls, &noop_times));
    REPRISE_RETURN_IF_ERROR(echo.Run(options.calls, &echo_times));
  }
  bar.Clear();
  nlohmann::json report = {{"rounds", options.rounds}, {"calls_per_round", options.calls}};
  std::printf("%-24s %10s %10s\n", "microseconds", "p50", "p99");
  const auto row = [&report](const char* name, double p50, double p99) {
    std::printf("%-24s %10.1f %10.1f\n", name, p50, p99);
    report[name] = {{"p50_us", p50}, {"p99_us", p99}};
  };
  const double noop50 = Microseconds(noop_times, 50), noop99 = Microseconds(noop_times, 99);
  const double echo50 = Microseconds(echo_times, 50), echo99 = Microseconds(echo_times, 99);
  row("reprise, no-op model", noop50, noop99);
  row("bare gRPC echo", echo50, echo99);
  row("added by the server", noop50 - echo50, noop99 - echo99);
  if (options.json.empty()) return absl::OkStatus();
  std::ofstream file(options.json);
  file << report.dump(2) << "\n";
  return file.flush() ? absl::OkStatus()
                      : absl::UnknownError(absl::StrCat("cannot write '", options.json, "'"));
}

ExitStatus Run(const Options& options) {
  pid_t child = -1;
  const absl::StatusOr<Ports> ports = StartServers(&child);
  BindToCore(0);
  const absl::Status measured = ports.ok() ? Measure(options, *ports) : ports.status();
  if (child > 0) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  if (measured.ok()) return server::commands::kExitOk;
  std::fprintf(stderr, "%s\n", std::string(measured.message()).c_str());
  return server::commands::kExitFailed;
}

}  // namespace
}  // namespace reprise::loadtest

int main(int argc, char** argv) {
  CLI::App app(
      "Measures what the server adds to a unary ModelInfer call of one caller: round trips "
      "to the whole server with a model that does nothing, minus those to a bare gRPC "
      "echo of the same bytes, in turns. Servers on core 1, caller on core 0",
      "reprise_overhead");
  reprise::loadtest::Options options;
  app.add_option("--rounds", options.rounds, "Turns of each")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--calls", options.calls, "Calls per turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--seq-len", options.seq_len, "Token ids in the request")
      ->capture_default_str()
      ->check(CLI::Range(1, reprise::loadtest::kNoopMaxTokens));
  app.add_option("--json", options.json, "Also write the result to this file")->type_name("FILE");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? reprise::server::commands::kExitOk
                                : reprise::server::commands::kExitUsage;
  }
  return reprise::loadtest::Run(options);
}
