// Lets a version into service only if it answers its stored samples as they say.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/repository/golden_file.h"
#include "server/repository/servable.h"

namespace reprise::server::repository {

// Runs every sample of `directory`/golden.json alone on every executor of `parts`; OK where there
// is no such file. A sample that comes out differently is FailedPrecondition and IsGoldenMismatch:
// the message names sample, output, what was found and what was expected. InvalidArgument for a
// file that is not as docs say, or a sample that the model cannot take. Cancelled once `stop` is
// requested.
absl::Status CheckGolden(const std::string& directory, const ServableParts& parts,
                         const std::stop_token& stop);

absl::Status GoldenMismatch(const std::string& message);
// Whether the status, passed on unchanged or with a longer message, came from a sample that
// differs.
bool IsGoldenMismatch(const absl::Status& status);

// What an executor of `parts` answers to the sample's input by itself. Names no outputs: those that
// a request without names would get.
absl::StatusOr<std::map<std::string, GoldenVectors>> Answer(const GoldenSample& sample,
                                                            const std::vector<std::string>& outputs,
                                                            const ServableParts& parts,
                                                            batching::BatchRunner& runner);

}  // namespace reprise::server::repository
