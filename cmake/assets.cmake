# Data files compiled into the library, a C table for each kind (cmake/embed.cmake).
set(CRITIC_ASSET_SOURCES "")
function(critic_embed table header pattern extra)
  file(GLOB files CONFIGURE_DEPENDS ${pattern})
  set(out ${CMAKE_BINARY_DIR}/generated/${table}.c)
  if(extra)
    list(APPEND files ${extra})
  endif()
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DOUT=${out}" "-DTABLE=${table}" "-DHEADER=${header}"
      "-DPATTERN=${pattern}" "-DEXTRA=${extra}" -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)
  set(CRITIC_ASSET_SOURCES ${CRITIC_ASSET_SOURCES} ${out} PARENT_SCOPE)
endfunction()

critic_embed(cr_template_assets judge/assets.h ${CMAKE_SOURCE_DIR}/assets/templates/*.txt "")
critic_embed(cr_report_assets report/assets.h "${CMAKE_SOURCE_DIR}/assets/report/*" "${CRITIC_CHART_JS}")
critic_embed(cr_model_assets tensor/assets.h ${CMAKE_SOURCE_DIR}/assets/micro/*.gguf "")
