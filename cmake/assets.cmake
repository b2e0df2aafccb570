# Data files compiled into the library: assets/templates/*.txt become one C table.
set(CRITIC_ASSET_SOURCES "")
file(GLOB CRITIC_TEMPLATES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/assets/templates/*.txt)
if(CRITIC_TEMPLATES)
  set(templates_c ${CMAKE_BINARY_DIR}/generated/templates.c)
  add_custom_command(OUTPUT ${templates_c}
    COMMAND ${CMAKE_COMMAND} "-DOUT=${templates_c}" "-DDIR=${CMAKE_SOURCE_DIR}/assets/templates"
      -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${CRITIC_TEMPLATES} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)
  list(APPEND CRITIC_ASSET_SOURCES ${templates_c})
endif()
