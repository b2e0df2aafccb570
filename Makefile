# Forwards to CMake; see CMakePresets.json.  make | make test | make asan | make install
PRESET ?= release
all:
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET)
test:
	./scripts/test
dev asan tsan fuzz cov:
	$(MAKE) all PRESET=$@
install: all
	cmake --install build/$(PRESET) $(if $(PREFIX),--prefix $(PREFIX))
clean:
	cmake -E rm -rf build
.PHONY: all test dev asan tsan fuzz cov install clean
