# Shared by tests/e2e/*_test.sh (sourced): a temporary folder and a few assertions.
#   expect STATUS COMMAND…   runs it; standard output in $out, standard error in $err
#   dying_judge BUDGET       starts an endpoint that judges so many requests (with python3)
#   short_of_disk BLOCKS COMMAND…    runs it where the disk is full
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

# Until the file or folder is there, a minute at most.
wait_for() { # PATH
    i=0
    while [ ! -e "$1" ] && [ $i -lt 6000 ]; do
        sleep 0.01
        i=$((i + 1))
    done
}

# Starts a judge that dies after so many answers (dying_judge.py): its address in $url, its process in $judge_pid.
dying_judge() { # BUDGET
    rm -f "$tmp/port"
    python3 "$CRITIC_SOURCE_DIR/tests/e2e/dying_judge.py" "$tmp/port" "$1" &
    judge_pid=$!
    wait_for "$tmp/port"
    url=http://127.0.0.1:$(cat "$tmp/port")/v1
}

# The command where no file may grow beyond BLOCKS of 512 bytes, as on a disk that is full there.
short_of_disk() { # BLOCKS COMMAND…
    (
        trap '' XFSZ
        ulimit -f "$1"
        shift
        exec "$@"
    )
}

one_line_error() {
    [ "$(wc -l <"$tmp/.err")" -eq 1 ] || fail "not one line of error: $err"
    case $err in
    "critic: "*) ;;
    *) fail "error does not begin with 'critic: ': $err" ;;
    esac
    [ $# -eq 0 ] || contains "$err" "$1"
}
