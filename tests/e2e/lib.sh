# Shared by tests/e2e/*_test.sh (sourced): a temporary folder and a few assertions.
#   expect STATUS COMMAND…   runs it; standard output in $out, standard error in $err
#   contains TEXT PART       TEXT has PART in it
#   one_line_error [PART]    $err is one line that begins with "critic: " (and has PART)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
critic=${CRITIC:-critic}
tiny=$CRITIC_SOURCE_DIR/tests/tiny
unset CRITIC_MODEL NO_COLOR HF_HOME HF_HUB_CACHE || true

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

expect() {
    expected=$1
    shift
    got=0
    "$@" >"$tmp/.out" 2>"$tmp/.err" || got=$?
    out=$(cat "$tmp/.out")
    err=$(cat "$tmp/.err")
    [ "$got" -eq "$expected" ] ||
        fail "exit status $got, expected $expected: $*
--- stdout
$(head -c 2000 "$tmp/.out")
--- stderr
$(head -c 2000 "$tmp/.err")"
}

contains() {
    case $1 in
    *"$2"*) ;;
    *) fail "'$2' is not in: $1" ;;
    esac
}

lacks() {
    case $1 in
    *"$2"*) fail "'$2' is in: $1" ;;
    esac
}

equal() {
    [ "$1" = "$2" ] || fail "got '$1', expected '$2'"
}

one_line_error() {
    [ "$(wc -l <"$tmp/.err")" -eq 1 ] || fail "not one line of error: $err"
    case $err in
    "critic: "*) ;;
    *) fail "error does not begin with 'critic: ': $err" ;;
    esac
    [ $# -eq 0 ] || contains "$err" "$1"
}
