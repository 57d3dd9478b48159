// A shared library that is opened when it is first needed, so that a program that could use a GPU
// also runs where there are no CUDA libraries.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::engine::cuda {

// Never closed: CUDA's libraries register things that outlive them.
class SharedLibrary {
 public:
  // FailedPrecondition with the loader's reason and where the library usually comes from.
  static absl::StatusOr<SharedLibrary> Open(const std::string& file);

  // Sets `*function` to the symbol of that name. FailedPrecondition when the library lacks it.
  template <typename Function>
  absl::Status Find(const char* name, Function** function) const {
    absl::StatusOr<void*> address = Address(name);
    if (!address.ok()) return address.status();
    *function = reinterpret_cast<Function*>(*address);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<void*> Address(const char* name) const;

  std::string file_;
  void* handle_ = nullptr;
};

}  // namespace reprise::engine::cuda
