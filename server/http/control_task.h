// A request that loads or unloads a model, from its body to its answer.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "server/http/router.h"
#include "server/http/service_context.h"
#include "server/http/strand_post.h"
#include "server/request/open_calls.h"

namespace reprise::server::http {

// Lives in the thread of its connection, as an Inference does: End and the core's answer are handed
// over to it. Work whose caller has gone goes on.
class ControlTask final : public OpenCall, public std::enable_shared_from_this<ControlTask> {
 public:
  using Answer = std::function<void(const absl::Status& status)>;

  // `answer` is called once, in the connection's thread, unless Detach comes first. `service`
  // outlives this.
  ControlTask(ServiceContext& service, StrandPost::Post post, Answer answer);

  // Reads the body, which may be empty, and hands the work to the core. Call once. Requires: the
  // route is kRepositoryModelLoad or kRepositoryModelUnload.
  void Run(const Route& route, std::string_view body);
  // From now on nothing is called or posted. The destructor of the connection calls it.
  void Detach() { post_.Detach(); }

  void End(const absl::Status& status) override;

 private:
  void Finish(const absl::Status& status);

  ServiceContext& service_;
  const Answer answer_;
  bool finished_ = false;
  StrandPost post_;
};

}  // namespace reprise::server::http
