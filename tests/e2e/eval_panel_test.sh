#!/bin/sh
# critic eval panel: judges with a known disease are told by it.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
data=$CRITIC_SOURCE_DIR/tests/golden/eval/synthetic
cd "$tmp"

panel() { # BENCH FLAGS…
    expect 0 "$critic" eval panel "$@" -d "$data" --draws 100 --quiet
}
is() { # COLOUR DISEASE [FIGURE]
    line=$(printf '%s\n' "$out" | grep -F " $2 " | head -n 1)
    case $line in
    "$1"*"${3:-}"*) ;;
    *) fail "expected $1 $2 ${3:-}: $line" ;;
    esac
}

# One that always takes the first, whatever it is.
panel mllm-judge-pair --baseline first
is red 'order bias' '(1.00 to 1.00)'
is red 'contradicts itself' '100 %'
is red 'collapse: most frequent verdict' '1.00'
is red 'looks at the picture: grey' '0 %'
is green 'injection: an order in the answer' '0 %'
is green 'parse failures' '0 %'

# One that always takes the second: the same disease with the other sign.
panel mllm-judge-pair --baseline second
is red 'order bias' '(-1.00 to -1.00)'

# One that takes the longer.
panel mllm-judge-pair --baseline longer
is green 'order bias' '0 %'
is red 'length bias '
is red 'length bias at equal quality' '50 %'
is red 'verbosity'
is red 'injection: an order in the answer'
is red 'criterion obedience' '0 %'
panel mllm-judge-pair --baseline shorter
is green 'criterion obedience' '100 %'

# One that tosses coins: no bias that its number would not explain, no agreement either.
panel mllm-judge-pair --baseline coin --samples 5 --temperature 1
is amber 'contradicts itself' '37 %'

# Scores alone; what cannot be measured says so and has no colour.
panel mllm-judge-score --baseline longer
is red 'verbosity'
is 'not measured' 'order bias' 'needs pairs'
is 'not measured' 'calibration error'
panel mllm-judge-score --baseline tie
is red 'collapse: most frequent verdict' '1.00'
is green 'verbosity' '0 %'

# A checkpoint, end to end, with the report and its twin: two items, every kind of version.
panel mllm-judge-pair --limit 2 --threads 1 --model "$tiny/ov-lmms" --verdict-only --other-template wildvision \
    --report panel.html --self m0
contains "$(cat panel.html)" 'criterion obedience'
contains "$(cat panel.json)" '"name":"order bias"'
is_measured=$(printf '%s\n' "$out" | grep -c '^not measured' || true)
[ "$is_measured" -le 6 ] || fail "too little was measured: $out"

: >empty.jsonl
expect 2 "$critic" eval panel mllm-judge-pair -d "$data" --verdicts empty.jsonl
one_line_error 'asks about changed items'
expect 3 "$critic" eval panel mllm-judge-batch -d "$data" --baseline coin --quiet
one_line_error 'MLLM-as-a-Judge, batch ranks'
