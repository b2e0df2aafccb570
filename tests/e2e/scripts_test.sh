#!/bin/sh
# scripts/demo and scripts/test where something is missing: what they say, what they would install, and
# that they stop.  (From a bare system they are tried by hand: docs/testing.md.)
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"

# A system with a shell and little else.
mkdir "$tmp/bin"
for program in sh sed cut sort tr grep basename dirname mktemp rm tail cat env; do
    ln -s "$(command -v $program)" "$tmp/bin/$program"
done
fake() { # NAME BODY
    printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1"
    chmod +x "$tmp/bin/$1"
}
on() { # SCRIPT: with that PATH only
    got=0
    env -i PATH="$tmp/bin" "$tmp/bin/sh" "$CRITIC_SOURCE_DIR/scripts/$1" >"$tmp/.out" 2>"$tmp/.err" </dev/null || got=$?
    err=$(cat "$tmp/.err")
}

# ---- no apt: names the packages of three systems and stops -----------------------------------------------------
fake id 'echo 1000'
for script in demo test; do
    on $script
    equal "$got" 4
    contains "$err" "gcc: C compiler"
    contains "$err" "apt-get install"
    contains "$err" "dnf install"
    contains "$err" "onednn-devel"
    contains "$err" "brew install"
    contains "$err" "jpeg-turbo"
done
contains "$err" "cmocka" # the tests' own need

# ---- apt, but neither root nor sudo -----------------------------------------------------------------------------------
fake apt-get 'echo "$*" >>"'"$tmp"'/apt"'
on demo
equal "$got" 4
contains "$err" "not root and no sudo"
[ ! -e "$tmp/apt" ] || fail "apt-get ran without root"

# ---- sudo: everything goes through it; an installation that did nothing is noticed ------------------------------------
fake sudo 'echo "sudo $*" >>"'"$tmp"'/apt"; exec "$@"'
on demo
equal "$got" 4
contains "$err" "through sudo"
contains "$err" "still missing after the installation"
contains "$(cat "$tmp/apt")" "sudo apt-get update"
contains "$(cat "$tmp/apt")" "libdnnl-dev"
lacks "$(cat "$tmp/apt")" "cmocka"

# ---- root ------------------------------------------------------------------------------------------------------------------
fake id 'echo 0'
rm "$tmp/apt"
on test
equal "$got" 4
lacks "$(cat "$tmp/apt")" "sudo"
contains "$(cat "$tmp/apt")" "libcmocka-dev"

# ---- an installation that fails says why -------------------------------------------------------------------------------------
fake apt-get 'echo "E: no network"; exit 100'
on demo
equal "$got" 4
contains "$err" "E: no network"
contains "$err" "could not install"

# ---- wrong usage -----------------------------------------------------------------------------------------------------------------
expect 2 "$CRITIC_SOURCE_DIR/scripts/demo" --nonsense
contains "$err" "usage: scripts/demo"
expect 2 "$CRITIC_SOURCE_DIR/scripts/test" --nonsense
contains "$err" "usage: scripts/test"
for script in micro/assets micro/train; do
    expect 2 "$CRITIC_SOURCE_DIR/scripts/$script"
    contains "$err" "usage: scripts/$script"
done
expect 2 "$CRITIC_SOURCE_DIR/scripts/micro/assets" "$tmp/no-such-run"
