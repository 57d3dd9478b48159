// Marks functions that may use AVX-512 with bf16, whatever the rest of the program is compiled for.
//
// Between the two macros only kernels and their helpers: a function of the standard library that
// was first compiled there would be used everywhere.
#pragma once

#define REPRISE_PRAGMA(text) _Pragma(#text)

#ifdef __clang__
#define REPRISE_BEGIN_AVX512BF16                                                         \
  REPRISE_PRAGMA(clang attribute push(                                                   \
      __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), \
      apply_to = function))
#define REPRISE_END_AVX512BF16 REPRISE_PRAGMA(clang attribute pop)
#else
#define REPRISE_BEGIN_AVX512BF16   \
  REPRISE_PRAGMA(GCC push_options) \
  REPRISE_PRAGMA(GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))
#define REPRISE_END_AVX512BF16 REPRISE_PRAGMA(GCC pop_options)
#endif
