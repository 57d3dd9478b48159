# Makes docs/flags.md of the program's --help. MODE=write writes PAGE, MODE=check compares with it.
set(text "# Flags\n
What `reprise` and its commands say about themselves with `--help`. Flags of `serve` can also be given as
environment variables, whose names stand beside them; the command line wins.
This page is made from the program (`ninja flags_docs`); a test compares the two.\n")
foreach(command IN ITEMS "" serve convert analyze bench inspect golden health token simulate)
  execute_process(COMMAND "${PROGRAM}" ${command} --help OUTPUT_VARIABLE help RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${PROGRAM} ${command} --help ended with ${failed}")
  endif()
  string(STRIP "reprise ${command}" title)
  string(APPEND text "\n## ${title}\n\n```text\n${help}```\n")
endforeach()
if(MODE STREQUAL "write")
  file(WRITE "${PAGE}" "${text}")
else()
  file(READ "${PAGE}" page)
  if(NOT page STREQUAL text)
    message(FATAL_ERROR "${PAGE} differs from --help; build the target flags_docs to write it again")
  endif()
endif()
