#include "server/config/server_options.h"

#include "engine/check.h"

namespace reprise::server::config {

absl::Status Validate(const ServerOptions& options) {
  REPRISE_RETURN_IF_ERROR(repository::Validate(options.repository.defaults));
  return grpc::Validate(options.grpc);
}

}  // namespace reprise::server::config
