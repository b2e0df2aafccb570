#!/bin/sh
# Installs into a temporary prefix and uses the library from there as a stranger would: the program
# in critic.h's comment and examples/judge.c, compiled with pkg-config's flags against the shared
# and the static library. Also: what the shared library exports.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
build=$(pwd)
prefix=$tmp/prefix

# A sanitized library needs a sanitized program.
sanitize=$(sed -n 's/^CRITIC_SANITIZE:STRING=//p' "$build/CMakeCache.txt")
coverage=$(sed -n 's/^CRITIC_COVERAGE:.*=ON$/--coverage/p' "$build/CMakeCache.txt")
cc=$(sed -n 's/^CMAKE_C_COMPILER:.*=//p' "$build/CMakeCache.txt")
flags="-std=c17 -Wall -Wextra -Werror ${sanitize:+-fsanitize=$sanitize} $coverage"

expect 0 cmake --install "$build" --prefix "$prefix"
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name critic.pc)")
export PKG_CONFIG_PATH
library=$(dirname "$PKG_CONFIG_PATH")
equal "$(pkg-config --modversion critic)" "$("$critic" --version | cut -d' ' -f2)"
equal "$(ls "$prefix/include")" critic.h

awk '/^ \*   #include <critic.h>/ { on = 1 }
     on && /^ \*   / { print substr($0, 6) }
     on && /^ \*   }/ { exit }' "$prefix/include/critic.h" >"$tmp/usage.c"
contains "$(cat "$tmp/usage.c")" 'critic_judge('
# shellcheck disable=SC2046
{
    expect 0 "$cc" $flags "$tmp/usage.c" -o "$tmp/usage" $(pkg-config --cflags --libs critic) \
        "-Wl,-rpath,$library"
    expect 0 "$cc" $flags "$CRITIC_SOURCE_DIR/examples/judge.c" -o "$tmp/judge-shared" \
        $(pkg-config --cflags --libs critic) "-Wl,-rpath,$library"
    expect 0 "$cc" $flags "$CRITIC_SOURCE_DIR/examples/judge.c" -o "$tmp/judge-static" \
        $(pkg-config --cflags critic) "$library/libcritic.a" \
        $(pkg-config --libs --static critic | sed 's/-lcritic//')
}

picture=$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg
for program in judge-shared judge-static; do
    expect 0 "$tmp/$program" "$tiny/ov-lmms" "$picture" 'What is it?' 'A cat.' 'A dog.'
    contains "$out" '"mode":"pairwise"'
    first=${first:-$(printf '%s' "$out" | sed 's/"seconds":[^,}]*//')}
    equal "$(printf '%s' "$out" | sed 's/"seconds":[^,}]*//')" "$first"
done
# A model that is compiled in, from a folder where nothing of its name lies, in a tree that was moved.
mv "$prefix" "$tmp/moved"
micro=$CRITIC_SOURCE_DIR/examples/micro.png
library=$tmp/moved/${library#"$prefix"/}
(
    cd /
    LD_LIBRARY_PATH=$library
    export LD_LIBRARY_PATH
    for program in judge-shared judge-static; do
        expect 0 "$tmp/$program" micro-critic "$micro" 'Describe the picture.' 'top: small black cross.' \
            'left: small red circle with one; right: large blue star with zero; bottom-right: large yellow ring with six.'
        contains "$out" '"verdict":"second"'
        contains "$out" '"model":"micro-critic"'
    done
    expect 0 "$tmp/moved/bin/critic" generate --model micro-base --image "$micro" --prompt 'Describe the picture.' --quiet
    equal "$out" 'left: small red circle with one; right: large blue star with zero; bottom-right: large yellow ring with six.'
)
mv "$tmp/moved" "$prefix"
library=$prefix/${library#"$tmp/moved"/}
expect 0 "$tmp/usage" "$tiny/ov-lmms" "$picture"
contains "$out" '"mode":"pairwise"'
expect 3 "$tmp/usage" "$tmp/not-there" "$picture"
expect 3 "$tmp/usage" "$tiny/ov-lmms" "$tiny/ov-lmms/config.json"
expect 2 "$tmp/usage"
expect 3 "$tmp/judge-shared" "$tiny/ov-lmms" "$picture" 'Q' ''"$(printf '\377')"

# Nothing but critic_* is visible.
foreign=$(nm -D --defined-only "$library/libcritic.so" | awk '{ print $NF }' |
    grep -vE '^critic_|^(__asan|__ubsan|__odr_asan|__gcov|_init$|_fini$|__bss_start$|_edata$|_end$)' || true)
equal "$foreign" ""
# Every function of the header is there.
declared=$(grep -oE 'critic_[a-z_0-9]+\(' "$prefix/include/critic.h" | tr -d '(' | sort -u)
nm -D --defined-only "$library/libcritic.so" | awk '{ print $NF }' >"$tmp/exported"
for function in $declared; do
    grep -qx "$function" "$tmp/exported" || fail "$function is declared and not exported"
done
