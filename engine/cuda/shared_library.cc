#include "engine/cuda/shared_library.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"

namespace reprise::engine::cuda {

absl::StatusOr<SharedLibrary> SharedLibrary::Open(const std::string& file) {
  SharedLibrary library;
  library.file_ = file;
  library.handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library.handle_ != nullptr) return library;
  return absl::FailedPreconditionError(
      absl::StrCat("cannot open ", file, ": ", dlerror(),
                   "; install CUDA 13's libraries, or name their folder in LD_LIBRARY_PATH"));
}

absl::StatusOr<void*> SharedLibrary::Address(const char* name) const {
  void* address = dlsym(handle_, name);
  if (address != nullptr) return address;
  return absl::FailedPreconditionError(absl::StrCat(
      file_, " has no function ", name, "; expected the library of CUDA 13.0 or newer"));
}

}  // namespace reprise::engine::cuda
