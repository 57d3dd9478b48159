#include "server/commands/state_file.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/commands/whole_file.h"

namespace reprise::server::commands {

using engine::analysis::SimilarityState;
using engine::analysis::SimilarityTable;

StateFile::StateFile(std::string path, double save_every_secs)
    : path_(std::move(path)),
      save_every_(std::chrono::duration_cast<SteadyClock::duration>(
          std::chrono::duration<double>(save_every_secs))) {}

absl::Status StateFile::Open(SimilarityState wanted) {
  std::error_code error;
  state_ = std::move(wanted);
  if (!std::filesystem::exists(path_, error) && !error) return absl::OkStatus();
  std::ostringstream text;
  std::ifstream file(path_, std::ios::binary);
  text << file.rdbuf();
  if (!file) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read '", path_, "', which --resume names; expected a file"));
  }
  REPRISE_ASSIGN_OR_RETURN(SimilarityState found,
                           engine::analysis::ParseSimilarityState(text.view(), path_));
  REPRISE_RETURN_IF_ERROR(engine::analysis::CheckBelongsTo(found, state_, path_));
  state_ = std::move(found);
  return absl::OkStatus();
}

SimilarityTable StateFile::Begun(const std::string& weights) const {
  const auto found = state_.tables.find(weights);
  if (found != state_.tables.end()) return found->second;
  return SimilarityTable(state_.layers, state_.heads);
}

absl::Status StateFile::Keep(const std::string& weights, const SimilarityTable& table) {
  state_.tables.insert_or_assign(weights, table);
  signal_ = stop_.Wait(SteadyClock::now());
  if (signal_ == 0) {
    return SteadyClock::now() - saved_ < save_every_ ? absl::OkStatus() : Save();
  }
  REPRISE_RETURN_IF_ERROR(Save());
  return absl::CancelledError(absl::StrCat("stopped by ", signal_ == SIGTERM ? "SIGTERM" : "SIGINT",
                                           " after ", table.texts(), " of ", state_.num_texts,
                                           " texts; the same command goes on from '", path_, "'"));
}

absl::Status StateFile::Save() {
  REPRISE_RETURN_IF_ERROR(WriteWholeFile(path_, engine::analysis::ToText(state_)));
  saved_ = SteadyClock::now();
  return absl::OkStatus();
}

}  // namespace reprise::server::commands
