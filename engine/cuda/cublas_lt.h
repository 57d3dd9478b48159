// The functions of cuBLASLt that matrix products need, from the library as it is found at run time.
#pragma once

#include <cublasLt.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::engine::cuda {

// Pointers of the types that the header declares.
struct CublasLt {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtGetStatusString) status_string = nullptr;
  decltype(&cublasLtMatmulDescInit_internal) init_operation = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_operation = nullptr;
  decltype(&cublasLtMatrixLayoutInit_internal) init_layout = nullptr;
  decltype(&cublasLtMatmulPreferenceInit_internal) init_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) find_algorithms = nullptr;
  decltype(&cublasLtMatmul) multiply = nullptr;

  // The process's; opened once. FailedPrecondition when it is not installed or too old.
  static absl::StatusOr<const CublasLt*> Get();

  // Internal with cuBLASLt's name of the error and `doing`.
  absl::Status ToStatus(cublasStatus_t status, const char* doing) const;
};

}  // namespace reprise::engine::cuda
