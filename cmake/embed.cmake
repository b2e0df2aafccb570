# Writes OUT: struct cr_asset TABLE[] with name and bytes of every file that PATTERN matches, and
# of EXTRA where that file exists, sorted by name, ended by a NULL name. HEADER declares TABLE.
# The assembler takes the bytes from the files themselves, so megabytes cost no compile time; each
# starts at a multiple of 64 and a zero follows.
file(GLOB files ${PATTERN})
if(EXTRA AND EXISTS "${EXTRA}")
  list(APPEND files "${EXTRA}")
endif()
set(named "")
foreach(file ${files})
  get_filename_component(name ${file} NAME_WE)
  list(APPEND named "${name}=${file}")
endforeach()
list(SORT named)
set(body "#include \"${HEADER}\"

#ifdef __APPLE__
#define BEGIN(symbol) \".const_data\\n.globl \" symbol \"\\n.private_extern \" symbol \"\\n\"
#else
#define BEGIN(symbol) \".section .rodata\\n.globl \" symbol \"\\n.hidden \" symbol \"\\n\"
#endif

")
set(rows "")
set(i 0)
foreach(entry ${named})
  string(REGEX MATCH "^([^=]*)=(.*)$" unused "${entry}")
  set(name "${CMAKE_MATCH_1}")
  set(file "${CMAKE_MATCH_2}")
  set(symbol "${TABLE}_${i}")
  file(SIZE "${file}" bytes)
  string(APPEND body "__asm__(BEGIN(\"${symbol}\") \".balign 64\\n${symbol}:\\n\"
        \".incbin \\\"${file}\\\"\\n.byte 0\\n.text\\n\");
extern const char ${symbol}[] __asm__(\"${symbol}\");
")
  string(APPEND rows "    {\"${name}\", ${symbol}, ${bytes}},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE ${OUT} "${body}\nconst struct cr_asset ${TABLE}[] = {\n${rows}    {0, 0, 0}};\n")
