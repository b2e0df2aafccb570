# Shared by scripts/demo and scripts/test (sourced): finds what is missing to build critic,
# installs it where that is possible, and builds a preset.
#
# One line a need:  probe | Debian | Fedora | Homebrew | why
# Probes: cmd:NAME (a program), inc:HEADER (the compiler finds it), pc:MODULE (pkg-config does),
# file:PATH (it is there).
# docs/dependencies.md says more about each; a test keeps the two in step.
needs_to_build='
cmd:cc|gcc|gcc|gcc|C compiler with OpenMP
inc:stdio.h|libc6-dev|glibc-devel|-|C library headers
cmd:cmake|cmake|cmake|cmake|build system
cmd:ninja|ninja-build|ninja-build|ninja|runs the build
cmd:pkg-config|pkg-config|pkgconf-pkg-config|pkgconf|finds the libraries
inc:dnnl.h|libdnnl-dev|onednn-devel|onednn|matrix products (oneDNN)
pc:jansson|libjansson-dev|jansson-devel|jansson|JSON
pc:libutf8proc|libutf8proc-dev|utf8proc-devel|utf8proc|Unicode normalisation
pc:libpcre2-8|libpcre2-dev|pcre2-devel|pcre2|tokenizer patterns
pc:libjpeg|libjpeg-dev|libjpeg-turbo-devel|jpeg-turbo|JPEG pictures
pc:libpng|libpng-dev|libpng-devel|libpng|PNG pictures
pc:libwebp|libwebp-dev|libwebp-devel|webp|WebP pictures
pc:libcurl|libcurl4-openssl-dev|libcurl-devel|curl|judges behind an endpoint
pc:sqlite3|libsqlite3-dev|sqlite-devel|sqlite|cache of their replies
pc:yaml-0.1|libyaml-dev|libyaml-devel|libyaml|data mixtures of the trainer (YAML)
'
# Wanted, not needed: installed where apt-get can, else gone without.
wants_to_build='
file:/usr/share/javascript/chart.js/chart.min.js|libjs-chart.js|-|-|charts in HTML reports
'
needs_to_test='
pc:cmocka|libcmocka-dev|libcmocka-devel|cmocka|unit tests
'

say() {
    printf '%s\n' "$*" >&2
}

stop() { # STATUS MESSAGE
    say "$(basename "$0"): $2"
    exit "$1"
}

is_there() { # PROBE
    case $1 in
    cmd:*) command -v "${1#cmd:}" >/dev/null 2>&1 ;;
    inc:*) printf '#include <%s>\n' "${1#inc:}" | cc -E - >/dev/null 2>&1 ;;
    pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
    file:*) [ -f "${1#file:}" ] ;;
    esac
}

# The lines of NEEDS whose probe fails.
missing_of() { # NEEDS
    printf '%s' "$1" | while IFS='|' read -r probe rest; do
        [ -z "$probe" ] || is_there "$probe" || printf '%s|%s\n' "$probe" "$rest"
    done
}

column() { # LINES NUMBER
    printf '%s\n' "$1" | cut -d'|' -f"$2" | grep -v '^-$' | sort -u | tr '\n' ' '
}

# Makes sure that everything in NEEDS is there. On Debian and its relatives apt installs it, as
# root or through sudo; elsewhere the packages are named and the script stops with status 4.
provide() { # NEEDS
    missing=$(missing_of "$1")
    [ -n "$missing" ] || return 0
    say "Missing:"
    printf '%s\n' "$missing" | while IFS='|' read -r probe debian _ _ why; do
        say "  $debian: $why"
    done
    packages=$(column "$missing" 2)
    if ! command -v apt-get >/dev/null 2>&1; then
        say "Install them, then run this again:"
        say "  Debian, Ubuntu:  apt-get install $packages"
        say "  Fedora:          dnf install $(column "$missing" 3)"
        say "  Homebrew:        brew install $(column "$missing" 4)"
        exit 4
    fi
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        stop 4 "not root and no sudo here; have them installed: apt-get install $packages"
    fi
    apt_install $packages || stop 4 "apt-get could not install: $packages"
    missing=$(missing_of "$1")
    [ -z "$missing" ] || stop 4 "still missing after the installation: $(column "$missing" 1)"
}

# Installs what is missing of WANTS where apt-get is there and may; never stops.
offer() { # WANTS
    missing=$(missing_of "$1")
    [ -n "$missing" ] || return 0
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    # shellcheck disable=SC2046
    if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$as_root" ] && ! command -v sudo >/dev/null 2>&1; } ||
        ! apt_install $(column "$missing" 2); then
        say "Going on without: $(column "$missing" 5)"
    fi
}

apt_install() { # PACKAGE…
    say "Installing with apt-get${as_root:+ (through sudo)}: $*"
    log=$(mktemp)
    if $as_root apt-get update -q >"$log" 2>&1 &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
            --no-install-recommends "$@" >>"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    tail -n 15 "$log" >&2
    rm -f "$log"
    return 1
}

# Configures a preset where that was not done yet, or not with the options asked for, and builds.
build() { # PRESET TARGETS [CMAKE OPTION…]
    preset=$1
    targets=$2
    shift 2
    stamp=build/$preset/configured-with
    if [ ! -f "build/$preset/build.ninja" ] ||
        { [ $# -gt 0 ] && [ "$(cat "$stamp" 2>/dev/null)" != "$*" ]; }; then
        mkdir -p "build/$preset"
        cmake --preset "$preset" "$@" >"build/$preset/configure.log" 2>&1 || {
            cat "build/$preset/configure.log" >&2
            stop 4 "cmake could not configure the preset $preset"
        }
        printf '%s\n' "$*" >"$stamp"
    fi
    say "Building the preset $preset"
    # shellcheck disable=SC2086
    cmake --build "build/$preset" --target $targets >"build/$preset/build.log" 2>&1 || {
        tail -n 60 "build/$preset/build.log" >&2
        stop 1 "the preset $preset does not build; all of it: build/$preset/build.log"
    }
}
