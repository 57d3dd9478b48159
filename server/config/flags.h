// The flags of `reprise serve`, each declared once.
#pragma once

#include "server/config/server_options.h"

namespace CLI {
class App;
}

namespace reprise::server::config {

// Declares a flag for every field of `options`, with its default as the flag's. A flag can also be
// given as an environment variable: --grpc-port as REPRISE_GRPC_PORT; the command line wins.
// Parsing throws CLI::ParseError for an unknown flag or a value that does not parse or is out of
// range. `options` must outlive the parsing.
void AddServerFlags(CLI::App& app, ServerOptions* options);
// Only those of one model's queue and batches, for other commands; without environment variables.
void AddBatchingFlags(CLI::App& app, batching::BatchingOptions* options);

}  // namespace reprise::server::config
