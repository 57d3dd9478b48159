// How kernels are written and started. Included by .cu files alone.
//
// A kernel is a struct:
//   struct Scale {
//     struct Params { float* x; int count; };
//     static constexpr int kThreads = 128;            // of a block
//     static constexpr int kBlocksPerMultiprocessor = 8;  // that registers must do for
//     template <typename Thread>
//     static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte* shared);
//   };
// and is started by Launch<Scale>(stream, {blocks, 1}, shared_bytes, params). Everything that a GPU
// does and a CPU does not goes through `thread`. nvcc compiles Run for GpuThread, below; the tests
// compile the same file for a thread that is emulated on the CPU, so that every kernel is checked
// against the reference on machines without a GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "engine/cuda/grid.h"
#include "engine/cuda/stream.h"

namespace reprise::engine::cuda {

// Shared memory that a block may have without asking the driver first.
inline constexpr int kPlainSharedBytes = 48 << 10;

// Whether the four warps of a warpgroup multiply together, straight from shared memory: Hopper's
// wgmma, which newer GPUs do not have.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
inline constexpr bool kWarpgroupProducts = true;
#else
inline constexpr bool kWarpgroupProducts = false;
#endif

// Where chunk `chunk` of 16 bytes of row `row` lies in a matrix with rows of kRowBytes, 32, 64 or
// 128, that begins at a multiple of 1024 bytes: eight neighbouring rows have their chunks of one
// column in different banks. The layout of the PTX ISA's swizzled shared memory.
template <int kRowBytes>
constexpr int SwizzledOffset(int row, int chunk) {
  const int offset = row * kRowBytes + chunk * 16;
  return offset ^ ((offset >> 7) % (kRowBytes / 16)) << 4;
}

}  // namespace reprise::engine::cuda

#ifdef __CUDACC__

#include "engine/cuda/status.h"

#define REPRISE_GPU __device__ __forceinline__

namespace reprise::engine::cuda {

// One thread of a kernel, by the instructions of compute capability 8.0 and newer. Collective
// functions must be called by all threads of a warp, or of the block for Sync.
struct GpuThread {
  REPRISE_GPU int index() const { return static_cast<int>(threadIdx.x); }
  REPRISE_GPU int block_x() const { return static_cast<int>(blockIdx.x); }
  REPRISE_GPU int block_y() const { return static_cast<int>(blockIdx.y); }

  REPRISE_GPU void Sync() const { __syncthreads(); }
  // The value of the lane whose number differs in the bits of `mask`.
  REPRISE_GPU float ShuffleXor(float value, int mask) const {
    return __shfl_xor_sync(0xffffffffu, value, mask);
  }

  REPRISE_GPU float Exp2(float x) const {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  // Whether it holds for every thread of the warp.
  REPRISE_GPU bool AllOfWarp(bool holds) const { return __all_sync(0xffffffffu, holds) != 0; }

  REPRISE_GPU float Max(float x, float y) const { return fmaxf(x, y); }
  REPRISE_GPU float Fma(float x, float y, float z) const { return fmaf(x, y, z); }
  REPRISE_GPU float Reciprocal(float x) const {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  REPRISE_GPU float Tanh(float x) const { return tanhf(x); }
  REPRISE_GPU float RSqrt(float x) const { return 1.0f / sqrtf(x); }
  REPRISE_GPU double Sqrt(double x) const { return sqrt(x); }
  // Two floats as bf16, rounded to nearest even, `low` in the lower half.
  REPRISE_GPU std::uint32_t Pack(float low, float high) const {
    std::uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
  }

  // c += a b for a warp: a [16, 16] and b [16, 8] in bf16, c [16, 8] in fp32, spread over the lanes
  // as PTX says of mma.m16n8k16.
  REPRISE_GPU void MultiplyAdd(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                               std::uint32_t b1) const {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
  // Four 8 x 8 matrices of bf16 from shared memory: lanes 8i to 8i+7 give the rows of matrix i, 16
  // bytes each; every lane gets two neighbouring elements of row lane / 4 of each matrix.
  REPRISE_GPU void LoadMatrices(std::uint32_t (&to)[4], const std::byte* row) const {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(SharedAddress(row)));
  }
  // The same of the transposed matrices.
  REPRISE_GPU void LoadTransposed(std::uint32_t (&to)[4], const std::byte* row) const {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(SharedAddress(row)));
  }

  static constexpr bool kWarpgroupProducts = cuda::kWarpgroupProducts;
  // Around the products of a warpgroup, which run on their own until they are waited for: the
  // registers and the shared memory of their operands may not be written meanwhile, and results may
  // not be read.
  REPRISE_GPU void BeginProducts() const {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
  }
  REPRISE_GPU void EndProducts() const {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
  }
  REPRISE_GPU void WaitProducts() const {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#endif
  }
  // c = a b, or c += a b when `add`, for a warpgroup: a [64, 16], 16 rows of each warp as in
  // MultiplyAdd, and c [64, 8 * kBlocks] likewise. b lies in shared memory in rows of kRowBytes
  // whose 16-byte chunks are swizzled (SwizzledOffset): its 16 rows when kTransposed is false say
  // columns of the product, [8 * kBlocks, 16] from byte column 0 of `b`; when true its [16, 8 *
  // kBlocks].
  template <int kRowBytes, bool kTransposed, int kBlocks>
  REPRISE_GPU void WarpgroupMultiply(float (&c)[kBlocks][4], const std::uint32_t (&a)[4],
                                     const std::byte* b, bool add) const;

  // Starts copying 16 bytes to shared memory; zeros when not `valid`, and `from` is not read then.
  REPRISE_GPU void CopyAsync(std::byte* to, const void* from, bool valid) const {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(SharedAddress(to)),
                 "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
  }
  // Ends a group of this thread's copies.
  REPRISE_GPU void CommitCopies() const { asm volatile("cp.async.commit_group;" ::: "memory"); }
  // Until all but the last `kGroups` groups have arrived. Sync makes them seen by other threads and
  // by products of warpgroups.
  template <int kGroups>
  REPRISE_GPU void WaitCopies() const {
    asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
  }

 private:
  static REPRISE_GPU std::uint32_t SharedAddress(const std::byte* pointer) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
  }
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "engine/cuda/warpgroup_multiply.cuh"
#endif

template <typename Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, Kernel::kBlocksPerMultiprocessor)
    Entry(const typename Kernel::Params params) {
  extern __shared__ __align__(1024) std::byte shared[];
  Kernel::Run(GpuThread(), params, shared);
}

template <typename Kernel>
absl::Status Launch(const Stream& stream, Grid grid, std::int64_t shared_bytes,
                    const typename Kernel::Params& params) {
  if (grid.x == 0 || grid.y == 0) return absl::OkStatus();
  if (shared_bytes > kPlainSharedBytes) {
    REPRISE_CUDA_RETURN_IF_ERROR(
        cudaFuncSetAttribute(Entry<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes)),
        "asking for shared memory");
  }
  Entry<Kernel><<<dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y)),
                  Kernel::kThreads, static_cast<std::size_t>(shared_bytes), stream.get()>>>(params);
  return ToStatus(cudaGetLastError(), "starting a kernel");
}

}  // namespace reprise::engine::cuda

#else

#define REPRISE_GPU inline
#include "tests/engine/cuda/emulated_thread.h"

#endif
