#!/bin/sh
# The layer rule and the banned functions hold in the source, and each check fails when they do not.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"

expect 0 "$CRITIC_SOURCE_DIR/scripts/check-layers" "$CRITIC_SOURCE_DIR"
expect 0 "$CRITIC_SOURCE_DIR/scripts/check-banned" "$CRITIC_SOURCE_DIR"

mkdir -p "$tmp/tree/docs" "$tmp/tree/src/base" "$tmp/tree/src/model" "$tmp/tree/src/engine"
cp "$CRITIC_SOURCE_DIR/docs/layers.md" "$tmp/tree/docs"
echo '#include "critic.h"' >"$tmp/tree/src/base/a.c"
echo '#include "base/a.h"' >"$tmp/tree/src/model/a.c"
expect 0 "$CRITIC_SOURCE_DIR/scripts/check-layers" "$tmp/tree"
expect 0 "$CRITIC_SOURCE_DIR/scripts/check-banned" "$tmp/tree"

breaks_layers() { # FILE LINE MESSAGE
    printf '%s\n' "$2" >"$tmp/tree/$1"
    expect 1 "$CRITIC_SOURCE_DIR/scripts/check-layers" "$tmp/tree"
    contains "$out" "$3"
    rm "$tmp/tree/$1"
}
breaks_layers src/model/b.c '#include "engine/engine.h"' 'has rank 5; src/model/ has rank 4'
breaks_layers src/base/b.h '#include "io/json.h"' 'has rank 1; src/base/ has rank 0'
breaks_layers src/base/b.h '#include "../io/json.h"' 'write the folder'
breaks_layers src/base/b.h '#include "nowhere/json.h"' 'has no rank'

bans() { # FILE LINE WORD
    printf '%s\n' "$2" >"$tmp/tree/$1"
    expect 1 "$CRITIC_SOURCE_DIR/scripts/check-banned" "$tmp/tree"
    contains "$out" "$1:1: $3"
    rm "$tmp/tree/$1"
}
bans src/model/b.c 'int f(void) { return atoi("3"); }' atoi
bans src/model/b.c 'void f(void) { /* exit */ exit (3); }' exit
bans src/model/b.c 'void f(void) { fputs("x", stderr); }' 'the library prints nothing'
printf '%s\n' '/* exit(3) */ void f(char *s) { snprintf(s, 9, "strcpy(a)"); }' >"$tmp/tree/src/model/b.c"
expect 0 "$CRITIC_SOURCE_DIR/scripts/check-banned" "$tmp/tree"

# The packages that the scripts install are those of docs/dependencies.md.
(
    . "$CRITIC_SOURCE_DIR/scripts/lib.sh"
    printf '%s' "$needs_to_build$wants_to_build$needs_to_test" | cut -d'|' -f2-4 | tr '|' '\n' | grep -vE '^-?$' | sort -u
) >"$tmp/packages"
[ "$(wc -l <"$tmp/packages")" -ge 20 ] || fail "the table of scripts/lib.sh could not be read"
while read -r package; do
    grep -qF "\`$package\`" "$CRITIC_SOURCE_DIR/docs/dependencies.md" ||
        fail "docs/dependencies.md lacks $package"
done <"$tmp/packages"
