install(TARGETS critic_static critic_shared)
install(FILES include/critic.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/critic.pc.in ${CMAKE_BINARY_DIR}/critic.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/critic.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
