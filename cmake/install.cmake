install(TARGETS critic_static critic_shared)
install(FILES include/critic.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# critic.pc finds its prefix from where it lies, so that an installed tree can be moved.
file(RELATIVE_PATH CRITIC_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/critic.pc.in ${CMAKE_BINARY_DIR}/critic.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/critic.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
