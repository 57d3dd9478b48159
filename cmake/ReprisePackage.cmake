# How a folder becomes a target: one static library per folder, one alias, the same warnings everywhere.

add_library(reprise_compile_options INTERFACE)
target_include_directories(reprise_compile_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(reprise_compile_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-sign-compare>"
  "$<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${REPRISE_WERROR}>>:-Werror>"
  "$<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${REPRISE_WERROR}>>:-Werror=all-warnings>")
if(REPRISE_SANITIZER STREQUAL "address")
  target_compile_options(reprise_compile_options INTERFACE -fsanitize=address,undefined
                         -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(reprise_compile_options INTERFACE -fsanitize=address,undefined)
elseif(REPRISE_SANITIZER STREQUAL "thread")
  target_compile_options(reprise_compile_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(reprise_compile_options INTERFACE -fsanitize=thread)
elseif(REPRISE_SANITIZER)
  message(FATAL_ERROR "REPRISE_SANITIZER is '${REPRISE_SANITIZER}'; expected empty, 'address' or 'thread'")
endif()

# reprise_library(<folder> SOURCES ... HEADERS ... DEPS <public> ... PRIVATE_DEPS ...)
# defines target reprise_<folder> with alias reprise::<folder>. Headers are checked to compile alone
# by the target all_verify_interface_header_sets.
function(reprise_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(reprise_${name} STATIC ${ARG_SOURCES})
  add_library(reprise::${name} ALIAS reprise_${name})
  target_sources(reprise_${name} PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}"
                 FILES ${ARG_HEADERS})
  set_target_properties(reprise_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_libraries(reprise_${name} PUBLIC reprise_compile_options ${ARG_DEPS}
                        PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# reprise_kernel_sources(<file>...): inner loops over registers. They are three times slower where the
# compiler keeps their sums in memory, so they get all optimisations in every optimised build.
function(reprise_kernel_sources)
  set(options
    # GCC 12 warns about its own AVX-512 header, where "undefined" vectors are meant to be undefined.
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized>")
  if(REPRISE_FUZZ)  # Clang takes minutes to instrument these loops, and no fuzzer reaches them.
    list(APPEND options "-fno-sanitize=all")
  elseif(NOT REPRISE_SANITIZER)
    list(APPEND options "$<$<NOT:$<CONFIG:Debug>>:-O3>")
  endif()
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "${options}")
endfunction()

# reprise_test(<name> SOURCES ... DEPS ... [TIMEOUT s])
# defines a GoogleTest program and registers the whole of it as one test of the same name.
function(reprise_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE reprise_compile_options GTest::gmock GTest::gtest_main ${ARG_DEPS})
  target_compile_definitions(${name} PRIVATE
      REPRISE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
      REPRISE_TEST_DATA_DIR="${PROJECT_SOURCE_DIR}/tests/data"
      REPRISE_DEPS_DIR="${REPRISE_DEPS_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
      ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan_suppressions.txt")
endfunction()

# reprise_isa_test(<name> ...): a reprise_test that is run once more with each lower instruction set,
# as the tests <name>@<isa>.
function(reprise_isa_test name)
  reprise_test(${name} ${ARGN})
  get_property(timeout TEST ${name} PROPERTY TIMEOUT)
  get_property(environment TEST ${name} PROPERTY ENVIRONMENT)
  foreach(isa sse4 avx2 avx512)
    add_test(NAME ${name}@${isa} COMMAND ${name})
    set_tests_properties(${name}@${isa} PROPERTIES TIMEOUT ${timeout} LABELS "isa;slow"
        ENVIRONMENT "${environment};REPRISE_CPU_ISA=${isa}")
  endforeach()
endfunction()
