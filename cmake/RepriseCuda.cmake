# Finds CUDA: the toolkit of REPRISE_DEPS_DIR, as scripts/install lays it out, or else the system's.

if(NOT CMAKE_CUDA_COMPILER AND EXISTS "${REPRISE_DEPS_DIR}/cuda/bin/nvcc")
  set(CMAKE_CUDA_COMPILER "${REPRISE_DEPS_DIR}/cuda/bin/nvcc")
endif()
# Ampere, Hopper with its own instructions, Blackwell; for anything newer the driver compiles PTX.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 100-real 80-virtual)
endif()
set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}")
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR "CUDA ${CMAKE_CUDA_COMPILER_VERSION} found at ${CMAKE_CUDA_COMPILER}; expected 13.0 "
          "or newer: run scripts/install --tests, or configure with -DREPRISE_CUDA=OFF")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # which CMake 3.25 does not know yet
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
find_package(CUDAToolkit 13 REQUIRED)
