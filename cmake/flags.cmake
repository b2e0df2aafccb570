# Warnings and code-generation flags for our own sources (CONTRIBUTING.md). No fast-math:
# masks use infinities, checks use NaN, sums keep their order.
add_library(critic_flags INTERFACE)
target_compile_options(critic_flags INTERFACE
  -fno-math-errno -fno-trapping-math -ffp-contract=off
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<C_COMPILER_ID:GNU>:-Wdouble-promotion> # clang's would warn of every NAN and INFINITY
  -Wundef -Wvla -Wformat=2 -Wcast-qual -Wcast-align -Wpointer-arith -Wwrite-strings
  -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough)
if(CRITIC_WERROR)
  target_compile_options(critic_flags INTERFACE -Werror)
endif()
if(CRITIC_SANITIZE)
  target_compile_options(critic_flags INTERFACE -fsanitize=${CRITIC_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(critic_flags INTERFACE -fsanitize=${CRITIC_SANITIZE})
endif()
if(CRITIC_COVERAGE)
  target_compile_options(critic_flags INTERFACE --coverage)
  target_link_options(critic_flags INTERFACE --coverage)
endif()

# src/kernel/*_avx2.c and *_avx512.c get their instruction set; nothing else does.
function(critic_isa_flags target)
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      if(source MATCHES "/src/kernel/.*avx2\\.c$")
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-O3;-mavx2;-mfma;-mf16c")
      elseif(source MATCHES "/src/kernel/.*avx512\\.c$")
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
          "-O3;-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mavx512bf16;-mprefer-vector-width=512")
      endif()
    endif()
  endforeach()
endfunction()
