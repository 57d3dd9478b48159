# Writes the checkout's commit as a C string to OUTPUT, only when it changed. Outside a checkout, as in an image's
# build, it is what the environment variable REPRISE_BUILD_COMMIT says, else "unknown".
execute_process(COMMAND git -C "${SOURCE_DIR}" rev-parse --short=12 HEAD
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "$ENV{REPRISE_BUILD_COMMIT}")
  if(NOT commit MATCHES "^[0-9a-zA-Z._-]+$")
    set(commit "unknown")
  endif()
endif()
set(previous "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" previous)
endif()
if(NOT previous STREQUAL "\"${commit}\"\n")
  file(WRITE "${OUTPUT}" "\"${commit}\"\n")
endif()
