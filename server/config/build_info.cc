#include "server/config/build_info.h"

namespace reprise::server::config {
namespace {
constexpr const char* kCommit =
#include "build_commit.inc"
    ;
}  // namespace

std::string BuildVersion() { return REPRISE_VERSION; }
std::string BuildCommit() { return kCommit; }

}  // namespace reprise::server::config
