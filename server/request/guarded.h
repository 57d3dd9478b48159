// Keeps a fault of one request from ending the server.
#pragma once

#include <exception>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/request/retry_hint.h"

namespace reprise::server {

// What `work` returns, a Status or a StatusOr, or what it throws as one: ResourceExhausted for
// memory that could not be had for `what`, with the advice to try again, Internal for anything
// else. To be put around work whose memory grows with what a caller sends or asks for; smaller
// pieces are not to be had only when the system is about to end the process anyhow.
template <typename Work>
auto Guarded(absl::string_view what, Work&& work) noexcept -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return WithRetryHint(absl::ResourceExhaustedError(absl::StrCat("no memory for ", what)),
                         kUntilMemoryIsFree);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  } catch (...) {
    return absl::InternalError("an unknown exception");
  }
}

}  // namespace reprise::server
