// A protobuf message as the JSON that the inference protocol prescribes over HTTP.
#pragma once

#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace reprise::server::http {

// Field names as in the proto file, enums by name, all integers as numbers (clients read them as
// such; protobuf's own printer writes 64-bit ones as strings). Numbers, texts, lists and maps are
// there with their default too; messages and members of a oneof only when set.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

}  // namespace reprise::server::http
