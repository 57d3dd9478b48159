# Writes the checkout's commit as a C string to OUTPUT, only when it changed; "unknown" outside a checkout.
execute_process(COMMAND git -C "${SOURCE_DIR}" rev-parse --short=12 HEAD
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
endif()
set(previous "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" previous)
endif()
if(NOT previous STREQUAL "\"${commit}\"\n")
  file(WRITE "${OUTPUT}" "\"${commit}\"\n")
endif()
