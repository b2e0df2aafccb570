# Every library that critic links, as one interface target. Reasons: docs/dependencies.md.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(Threads REQUIRED)
find_path(DNNL_INCLUDE_DIR dnnl.h REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.85)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)

add_library(critic_dependencies INTERFACE)
target_include_directories(critic_dependencies SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
target_link_libraries(critic_dependencies INTERFACE
  ${DNNL_LIBRARY} PkgConfig::JANSSON PkgConfig::UTF8PROC PkgConfig::PCRE2 PkgConfig::JPEG
  PkgConfig::PNG PkgConfig::WEBP PkgConfig::CURL PkgConfig::SQLITE PkgConfig::YAML OpenMP::OpenMP_C Threads::Threads m)

# Chart.js goes into the reports (src/report). Without it they hold their tables only, and say so.
find_file(CRITIC_CHART_JS NAMES chart.min.js chart.umd.js Chart.min.js
  PATHS /usr/share/javascript/chart.js /usr/share/javascript/chartjs /usr/share/nodejs/chart.js/dist
  NO_DEFAULT_PATH DOC "Chart.js, one file; -DCRITIC_CHART_JS=FILE names another")
if(NOT CRITIC_CHART_JS)
  set(CRITIC_CHART_JS "")
  message(STATUS "Chart.js is not there (Debian: libjs-chart.js): reports will hold tables and no charts")
endif()
