#include "engine/cuda/cublas_lt.h"

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/cuda/shared_library.h"

namespace reprise::engine::cuda {
namespace {

constexpr char kLibrary[] = "libcublasLt.so.13";

absl::StatusOr<CublasLt> Open() {
  REPRISE_ASSIGN_OR_RETURN(const SharedLibrary library, SharedLibrary::Open(kLibrary));
  CublasLt lt;
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtCreate", &lt.create));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtDestroy", &lt.destroy));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtGetStatusString", &lt.status_string));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtMatmulDescInit_internal", &lt.init_operation));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtMatmulDescSetAttribute", &lt.set_operation));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtMatrixLayoutInit_internal", &lt.init_layout));
  REPRISE_RETURN_IF_ERROR(
      library.Find("cublasLtMatmulPreferenceInit_internal", &lt.init_preference));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtMatmulPreferenceSetAttribute", &lt.set_preference));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtMatmulAlgoGetHeuristic", &lt.find_algorithms));
  REPRISE_RETURN_IF_ERROR(library.Find("cublasLtMatmul", &lt.multiply));
  return lt;
}

}  // namespace

absl::StatusOr<const CublasLt*> CublasLt::Get() {
  static const absl::StatusOr<CublasLt> opened = Open();
  if (!opened.ok()) return opened.status();
  return &*opened;
}

absl::Status CublasLt::ToStatus(cublasStatus_t status, const char* doing) const {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("cuBLASLt error ", status_string(status), " while ", doing));
}

}  // namespace reprise::engine::cuda
