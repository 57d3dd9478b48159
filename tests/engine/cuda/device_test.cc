// What can be tested of the device's side without one, and with one if it is there.
#include "engine/cuda/device.h"

#include <cuda_runtime_api.h>

#include <cstdlib>

#include "engine/cuda/cublas_lt.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/shared_library.h"
#include "engine/cuda/status.h"
#include "engine/device_health.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/cuda/device_array.h"
#include "tests/status_matchers.h"

namespace reprise::engine::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

TEST(CudaDeviceTest, WithoutDriverOrGpuTheMessageSaysWhatToDo) {
  if (ThereIsAGpu()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_THAT(OpenDevice(0),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--device cpu")));
}

TEST(CudaDeviceTest, AGpuIsDescribedAndOthersAreRefused) {
  REPRISE_SKIP_WITHOUT_GPU();
  const absl::StatusOr<Device> device = OpenDevice(0);
  ASSERT_OK(device);
  EXPECT_GT(device->multiprocessors, 0);
  EXPECT_GT(device->memory_bytes, device->l2_bytes);
  EXPECT_FALSE(device->name.empty());
  EXPECT_THAT(OpenDevice(1000),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cuda:1000")));
}

TEST(CudaDeviceTest, MemoryIsClearedAndAccountedFor) {
  REPRISE_SKIP_WITHOUT_GPU();
  const std::int64_t before = memory::MemoryAccount::Devices().bytes(memory::Purpose::kScratch);
  {
    const absl::StatusOr<DeviceBuffer> buffer =
        DeviceBuffer::Allocate(memory::Purpose::kScratch, 64);
    ASSERT_OK(buffer);
    EXPECT_EQ(memory::MemoryAccount::Devices().bytes(memory::Purpose::kScratch), before + 64);
    float values[16] = {1};
    ASSERT_EQ(cudaMemcpy(values, buffer->data(), sizeof(values), cudaMemcpyDeviceToHost),
              cudaSuccess);
    EXPECT_THAT(values, ::testing::Each(0.0f));
  }
  EXPECT_EQ(memory::MemoryAccount::Devices().bytes(memory::Purpose::kScratch), before);
  EXPECT_THAT(DeviceBuffer::Allocate(memory::Purpose::kScratch, std::int64_t{1} << 46),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("scratch")));
}

TEST(CudaStatusTest, ErrorsKeepTheirNameAndGetACode) {
  EXPECT_OK(ToStatus(cudaSuccess, "nothing"));
  EXPECT_THAT(ToStatus(cudaErrorMemoryAllocation, "allocating"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("cudaErrorMemoryAllocation"), HasSubstr("allocating"))));
  EXPECT_THAT(ToStatus(cudaErrorInsufficientDriver, "looking"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("580")));
  EXPECT_THAT(ToStatus(cudaErrorInvalidValue, "x"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("cudaErrorInvalidValue")));
}

// In a process of its own: the latch does not open again.
TEST(CudaStatusTest, ALostDeviceIsRemembered) {
  EXPECT_FALSE(DeviceIsLost());
  EXPECT_EXIT(
      {
        const absl::Status lost = ToStatus(cudaErrorIllegalAddress, "running");
        const bool says_what_to_do = lost.message().find("start it anew") != lost.message().npos;
        std::_Exit(says_what_to_do && WhyDeviceWasLost() == lost.message() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

// The library itself needs no GPU to be opened.
TEST(CublasLtTest, AllFunctionsAreFound) {
  const absl::StatusOr<const CublasLt*> lt = CublasLt::Get();
  ASSERT_OK(lt);
  EXPECT_THAT((*lt)->ToStatus(CUBLAS_STATUS_NOT_SUPPORTED, "multiplying"),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("not supported"), HasSubstr("multiplying"))));
}

TEST(SharedLibraryTest, WhatIsMissingIsNamed) {
  EXPECT_THAT(SharedLibrary::Open("libnothing.so.13"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("libnothing.so.13"), HasSubstr("LD_LIBRARY_PATH"))));
  const absl::StatusOr<SharedLibrary> library = SharedLibrary::Open("libc.so.6");
  ASSERT_OK(library);
  void (*function)() = nullptr;
  EXPECT_THAT(library->Find("no_such_function", &function),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no_such_function")));
}

}  // namespace
}  // namespace reprise::engine::cuda
