#include "server/config/flags.h"

#include <cctype>
#include <cstdint>
#include <limits>
#include <string>

#include "CLI/CLI.hpp"
#include "server/config/option_parsers.h"

namespace reprise::server::config {
namespace {

CLI::Option* AddCount(CLI::App& app, const std::string& name, std::int64_t* target,
                      std::int64_t low, std::int64_t high, const std::string& help) {
  return app.add_option(name, *target, help)->capture_default_str()->check(CLI::Range(low, high));
}

CLI::Option* AddCount(CLI::App& app, const std::string& name, int* target, int low, int high,
                      const std::string& help) {
  return app.add_option(name, *target, help)->capture_default_str()->check(CLI::Range(low, high));
}

// Accepts 67108864, 64MiB and 64mb alike; the units are powers of 1024.
CLI::Option* AddBytes(CLI::App& app, const std::string& name, std::int64_t* target,
                      const std::string& help) {
  const auto to_bytes = CLI::AsSizeValue(/*kb_is_1000=*/false);
  return app.add_option(name, *target, help)
      ->capture_default_str()
      ->transform(to_bytes)
      ->type_name("BYTES");
}

template <typename Duration>
CLI::Option* AddDuration(CLI::App& app, const std::string& name, Duration* target,
                         const std::string& type, std::int64_t high, const std::string& help) {
  const auto assign = [target](std::int64_t value) { *target = Duration(value); };
  return app.add_option_function<std::int64_t>(name, assign, help)
      ->type_name(type)
      ->default_str(std::to_string(target->count()))
      ->check(CLI::Range(std::int64_t{0}, high));
}

void AddRepositoryFlags(CLI::App& app, repository::RepositoryOptions* options,
                        repository::CoreOptions* core) {
  app.option_defaults()->group("Models");
  app.add_option("--model-repository", options->path,
                 "Folder of models, <folder>/<model>/<version>/ with a checkpoint in each, or one "
                 "checkpoint folder")
      ->required()
      ->type_name("DIR");
  app.add_option("--model-name", options->model_name,
                 "Name of the model in a checkpoint folder given by itself; default: the folder's "
                 "name")
      ->type_name("NAME");
  AddParsedOption(app, "--model-control", &core->control, repository::ParseModelControl,
                  "none|explicit", "none",
                  "none: every model is loaded at start and stays; explicit: only those of "
                  "--load-model, and calls load and unload models at run time");
  app.add_option(
         "--load-model", core->load_models,
         "Models to load at start with --model-control explicit, with commas or by repeating "
         "the flag; '*': all of them; default: none")
      ->type_name("NAME")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--keep-going", core->keep_going,
               "Serve the models that load when others fail; without it a failure ends the "
               "server with status 1");
  AddCount(app, "--load-threads", &core->load_threads, 1, 64, "Models that load at the same time");
}

void AddModelFlags(CLI::App& app, repository::ModelServingOptions* options) {
  app.option_defaults()->group(
      "Execution (defaults for every model; a model's model.json may say otherwise)");
  AddParsedOption(app, "--device", &options->device, engine::ParseDeviceId, "cpu|cuda|cuda:N",
                  "cpu", "What the models run on: the processor, or an NVIDIA GPU");
  AddParsedOption(
      app, "--precision", &options->precision, repository::ParsePrecision, "auto|fp32|bf16", "auto",
      "Arithmetic of matrix products; auto: bf16 on a GPU and where the processor multiplies bf16 "
      "in hardware");
  AddParsedOption(
      app, "--strategy", &options->strategy, repository::ParseStrategy,
      "auto|stored|recompute|fused", "auto",
      "How reuse heads get their scores: kept and read, rebuilt from kept queries, keys and "
      "row statistics, or from kept queries and keys alone; auto: what costs least by "
      "measured times, for each reuse group and length");
  AddParsedOption(app, "--score-format", &options->score_format, repository::ParseScoreFormat,
                  "auto|fp32|bf16", "auto", "How stored scores are kept; auto: as the precision");
  AddBytes(app, "--score-cache-bytes", &options->score_cache_bytes,
           "Most memory for one executor's stored scores; it never takes more than it can use");
  AddCount(app, "--executors", &options->executors, 1, 256,
           "Batches of one model that run at the same time, each with threads and memory of its "
           "own");
  AddCount(app, "--threads", &options->threads, 0, 1024,
           "Threads of one executor; 0: the machine's cores, shared evenly by the executors");
  app.add_option("--batch-invariant", options->batch_invariant,
                 "Give a text the same bits alone and in any batch; without, a GPU is faster for "
                 "small batches")
      ->type_name("true|false")
      ->default_str("true");
  app.add_flag("--pin-threads", options->pin_threads,
               "Bind the executors' helper threads to cores");
  AddCount(app, "--tokenizer-threads", &options->tokenizer_threads, 1, 256,
           "Threads that tokenize text");
  AddBytes(app, "--max-text-bytes", &options->max_text_bytes, "Longest text of a request");
  AddBytes(app, "--max-reply-bytes", &options->max_reply_bytes,
           "Largest reply, all outputs together");
  AddCount(app, "--warmup-runs", &options->warmup_runs, 0, 1000,
           "Times that each warm-up batch runs on each executor before the model is ready");
}

void AddPortFlags(CLI::App& app, ServerOptions* options) {
  app.option_defaults()->group("Ports");
  app.add_option_function<std::string>(
         "--host",
         [options](const std::string& host) {
           options->grpc.host = host;
           options->metrics.host = host;
         },
         "Address that all ports listen on; 0.0.0.0: every address of the machine")
      ->type_name("ADDRESS")
      ->default_str(options->grpc.host);
  AddCount(app, "--grpc-port", &options->grpc.port, 0, 65535,
           "Inference, health and reflection over gRPC; 0: a free port, named in the log");
  CLI::Option* http_port =
      AddCount(app, "--http-port", &options->http.port, 0, 65535,
               "The inference protocol over HTTP/REST; 0: a free port, named in the log");
  app.add_flag("--no-http", options->no_http, "Do not open the port for HTTP")->excludes(http_port);
  AddCount(app, "--metrics-port", &options->metrics.port, 0, 65535,
           "Prometheus metrics, GET /metrics over HTTP; 0: a free port, named in the log");
  app.add_flag_callback(
      "--no-metrics", [options] { options->metrics.enabled = false; },
      "Count nothing and open no port for metrics");
  AddParsedOption(app, "--health-port", &options->health_port, ParseHealthPort, "auto|off|PORT",
                  "auto",
                  "grpc.health.v1 for probes, without TLS or tokens, that says whether the server "
                  "lives and is ready and nothing else; auto: 8003 with TLS, off without");
}

void AddSecurityFlags(CLI::App& app, security::SecurityOptions* options) {
  app.option_defaults()->group(
      "Security (the files are read again when they change; docs/security.md)");
  const auto add_file = [&app](const char* name, std::string* path, const char* help) {
    app.add_option(name, *path, help)->type_name("FILE");
  };
  add_file("--tls-cert", &options->tls.certificate,
           "PEM file with the server's certificate, then those between it and its CA. With it and "
           "--tls-key every port but those of metrics and health speaks TLS only, 1.2 or newer; "
           "default: no TLS");
  add_file("--tls-key", &options->tls.private_key,
           "PEM file with the key of --tls-cert, without a passphrase; default: no TLS");
  add_file("--tls-client-ca", &options->tls.client_ca,
           "PEM file with CAs. Only clients that show a certificate of one of them may connect; "
           "default: clients need none");
  add_file("--auth-tokens-file", &options->tokens_file,
           "Tokens that callers send as 'authorization: Bearer TOKEN', a line each as 'reprise "
           "token' makes it. All methods but health need one then; default: no method does");
  app.add_option("--auth-rules", options->access_rules,
                 "Other rules for groups of methods, such as metadata=open,control=closed. Groups: "
                 "inference, metadata, control, health. Rules: open, token, closed; default: with "
                 "a tokens file token for all but health, else open")
      ->type_name("RULES");
  app.add_flag("--auth-without-tls", options->tokens_without_tls,
               "Accept tokens without TLS on addresses that other machines reach, for a server "
               "behind something that speaks TLS");
}

void AddGrpcFlags(CLI::App& app, grpc::GrpcServerOptions* options) {
  app.option_defaults()->group("gRPC");
  AddBytes(app, "--max-receive-bytes", &options->max_receive_bytes,
           "Largest request message; over HTTP the largest body, inflated");
  AddBytes(app, "--max-send-bytes", &options->max_send_bytes, "Largest reply message or body");
  AddCount(
      app, "--max-connections", &options->max_connections, 0, 1 << 20,
      "Open connections, those of other ports counted too, beyond which new ones are closed at "
      "once; 0: what the limit on file descriptors allows");
  AddCount(app, "--max-concurrent-streams", &options->max_concurrent_streams, 1,
           std::numeric_limits<int>::max(), "Open calls of one connection");
  AddCount(app, "--max-metadata-bytes", &options->max_metadata_bytes, 1, 1 << 24,
           "Metadata of one call, all keys and values together");
  AddCount(app, "--max-stream-items", &options->max_stream_items, 1, 65536,
           "Requests of one stream between being read and being answered; then its caller waits");
  AddBytes(app, "--grpc-memory-bytes", &options->memory_quota_bytes,
           "Memory for messages being received, over all connections; 0: no limit")
      ->default_str("a quarter of the memory that the process may use");
  app.add_option(
         "--client-key-metadata", options->client_key_metadata,
         "Metadata key or HTTP header that names the caller, lower case; default: the "
         "caller's address. Callers with requests of the same priority in the queue take turns")
      ->type_name("KEY");
  const std::int64_t most_ms = std::numeric_limits<std::int32_t>::max();
  AddDuration(app, "--keepalive-time-ms", &options->keepalive_time, "MS", most_ms,
              "Silence on a connection before the server pings");
  AddDuration(app, "--keepalive-timeout-ms", &options->keepalive_timeout, "MS", most_ms,
              "Wait for the answer before the connection is closed");
  AddCount(app, "--max-pings-without-data", &options->max_pings_without_data, 0,
           std::numeric_limits<int>::max(), "Pings the server sends in a row; 0: no limit");
  AddDuration(app, "--min-ping-interval-ms", &options->min_ping_interval, "MS", most_ms,
              "Shortest time between pings of a client without open calls");
  AddCount(app, "--max-ping-strikes", &options->max_ping_strikes, 0,
           std::numeric_limits<int>::max(),
           "Pings that come too early before the client is disconnected; 0: any number");
  const std::int64_t most_secs = most_ms / 1000;
  AddDuration(
      app, "--max-connection-age-secs", &options->max_connection_age, "S", most_secs,
      "Age at which a client is asked to connect anew, so that load spreads to servers that "
      "came later and replaced certificates go out of use; 0: never");
  AddDuration(app, "--max-connection-age-grace-secs", &options->max_connection_age_grace, "S",
              most_secs, "What calls that are open then may still take");
  AddDuration(app, "--max-connection-idle-secs", &options->max_connection_idle, "S", most_secs,
              "Time without a call after which a connection is closed; 0: never");
}

void AddTraceFlags(CLI::App& app, trace::TraceOptions* options) {
  app.option_defaults()->group("Traces");
  app.add_option("--trace-file", options->file,
                 "File to write calls to as OpenTelemetry spans, one line of OTLP JSON for each "
                 "call; made if it is not there, else added to; default: none")
      ->type_name("FILE");
  app.add_option("--trace-sample-rate", options->sample_rate,
                 "Share of the calls without a traceparent that are traced; for others the flag of "
                 "their traceparent decides")
      ->capture_default_str()
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0));
}

void AddHttpFlags(CLI::App& app, http::HttpServerOptions* options) {
  app.option_defaults()->group("HTTP");
  AddCount(app, "--http-threads", &options->threads, 1, 256,
           "Threads that read, decode and write HTTP");
  AddCount(app, "--http-max-connections", &options->max_connections, 1,
           std::numeric_limits<int>::max(), "Connections open at a time; more are turned away");
  AddBytes(app, "--http-max-header-bytes", &options->max_header_bytes,
           "Most bytes of a request's first line and headers");
  AddBytes(app, "--http-memory-bytes", &options->body_memory_bytes,
           "Memory for request bodies until they are decoded, over all connections");
  AddDuration(app, "--http-idle-timeout-ms", &options->idle_timeout, "MS", 3'600'000,
              "Silence after which a connection without a request is closed");
  AddDuration(app, "--http-io-timeout-ms", &options->io_timeout, "MS", 3'600'000,
              "Time for the headers of a request, and again for its body and for the reply, which "
              "have another second for every 16 KiB");
}

void AddProcessFlags(CLI::App& app, ServerOptions* options) {
  app.option_defaults()->group("Process");
  AddParsedOption(app, "--cpu-isa", &options->cpu_isa, engine::device::ParseCpuIsa,
                  "sse4|avx2|avx512|avx512_bf16|amx", "the best there is",
                  "Newest instruction set to use");
  app.add_flag("--exit-on-device-loss", options->exit_on_device_loss,
               "End with status 1 when a GPU fails for good; without it the server goes on and "
               "health says not ready and not alive");
  app.add_option(
         "--calibration", options->calibration_file,
         "Choose strategies by the times in this file of 'reprise bench --calibrate' instead "
         "of measuring at load, so that every replica chooses alike; default: measured")
      ->type_name("FILE");
  AddDuration(app, "--lame-duck-secs", &options->shutdown.lame_duck, "S", 3600,
              "Seconds after SIGTERM in which everything is still served but health says no, so "
              "that load balancers turn away first; SIGINT skips it");
  AddDuration(app, "--exit-timeout-secs", &options->shutdown.exit_timeout, "S", 3600,
              "Seconds after that in which requests under way may finish before they are ended "
              "with UNAVAILABLE; a second signal ends the process at once");
  AddParsedOption(app, "--log-level", &options->log_level, ParseLogLevel,
                  "debug|info|warning|error", std::string(Name(options->log_level)),
                  "Least severe lines to log; the log goes to standard error, one JSON object per "
                  "line");
}

// --grpc-port -> REPRISE_GRPC_PORT
std::string EnvironmentName(std::string flag) {
  std::string name = "REPRISE_";
  for (const char c : flag) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

}  // namespace

void AddBatchingFlags(CLI::App& app, batching::BatchingOptions* options) {
  app.option_defaults()->group("Batching (of each model; tokens are real ones)");
  AddCount(app, "--max-batch-size", &options->max_batch_size, 1, 65536,
           "Sequences of one batch, and so of one request");
  AddCount(app, "--max-batch-tokens", &options->max_batch_tokens, 0, std::int64_t{1} << 24,
           "Tokens of one batch, and so of one request; 0: 4096, or the model's longest sequence "
           "where that is more");
  AddBytes(app, "--max-batch-score-bytes", &options->max_batch_score_bytes,
           "Attention scores of one batch, the part of the work that grows with the square of the "
           "length");
  AddCount(app, "--max-queue-delay-us", &options->max_queue_delay_us, 0, 10'000'000,
           "Microseconds an idle executor lets the oldest request wait for company; 0: run what is "
           "there at once");
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  AddCount(app, "--max-queue-requests", &options->max_queue_requests, 1, most,
           "Waiting requests beyond which new ones are refused");
  AddCount(app, "--max-queue-rows", &options->max_queue_rows, 1, most, "The same in sequences");
  AddCount(app, "--max-queue-tokens", &options->max_queue_tokens, 1, most, "The same in tokens");
  AddBytes(app, "--max-queue-bytes", &options->max_queue_bytes, "The same in bytes of input");
  AddBytes(app, "--max-queue-score-bytes", &options->max_queue_score_bytes,
           "The same in bytes of attention scores");
  AddDuration(
      app, "--ordering-horizon-ms", &options->ordering_horizon, "MS", 3'600'000,
      "Milliseconds after which a request without a near deadline is as urgent as one with; "
      "0: first come, first served");
  AddCount(app, "--max-overtakes", &options->max_overtakes, 0, 1'000'000,
           "How often a request that does not fit may see later ones join a batch before it");
  AddDuration(app, "--queue-timeout-ms", &options->queue_timeout, "MS", 3'600'000,
              "Deadline of requests that bring none, or a later one, in milliseconds after their "
              "arrival; 0: none");
  app.add_flag("!--no-prediction", options->prediction,
               "Do not use the batch times measured so far: neither refuse requests that would be "
               "late, nor leave out of a batch what would make its members late or slow");
  AddCount(app, "--priority-levels", &options->priority_levels, 1, 16,
           "Values that the request parameter `priority` may have; 1 is the highest");
  AddCount(app, "--default-priority", &options->default_priority, 1, 16,
           "Priority of requests that name none, or one that does not exist");
  AddDuration(app, "--priority-ageing-ms", &options->priority_ageing, "MS", 3'600'000,
              "Milliseconds of waiting after which a request counts as one priority higher");
  AddCount(app, "--max-client-keys", &options->max_client_keys, 1, 65536,
           "Clients that are told apart in the queue, where they take turns; the rest share one");
}

void AddServerFlags(CLI::App& app, ServerOptions* options) {
  AddRepositoryFlags(app, &options->repository, &options->core);
  AddPortFlags(app, options);
  AddModelFlags(app, &options->repository.defaults);
  AddBatchingFlags(app, &options->repository.defaults.batching);
  AddGrpcFlags(app, &options->grpc);
  AddHttpFlags(app, &options->http);
  AddSecurityFlags(app, &options->security);
  AddTraceFlags(app, &options->trace);
  AddProcessFlags(app, options);
  for (CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr()) continue;
    for (const std::string& name : option->get_lnames()) option->envname(EnvironmentName(name));
  }
}

}  // namespace reprise::server::config
