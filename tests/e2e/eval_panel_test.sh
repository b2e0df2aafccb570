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

is_scores() { # on single answers
    is "$1" "$2" "$3"
}
panel mllm-judge-score --baseline tie
is_scores red 'scale use' '0.00'
panel mllm-judge-score --baseline longer
is_scores red 'length bias of scores' '('
panel in-domain-pointwise --baseline coin
is_scores green 'scale use' '0.'
panel mllm-judge-pair --baseline coin
is 'not measured' 'scale use' 'needs single answers'

# A killed panel goes on: the same lines and figures as of one run; other flags are refused.
model="--model $tiny/ov-lmms --verdict-only --threads 1 --limit 6"
# shellcheck disable=SC2086
{
    panel mllm-judge-pair $model -o whole.jsonl --json
    whole=$out
    "$critic" eval panel mllm-judge-pair -d "$data" $model --draws 100 --quiet -o killed.jsonl >killed.out 2>&1 &
    job=$!
    tries=0
    until [ -s killed.jsonl ]; do
        tries=$((tries + 1))
        [ $tries -lt 3000 ] || fail "nothing was written"
        sleep 0.02
    done
    kill -9 $job
    wait $job || true
    head -c 1000 whole.jsonl >torn.jsonl
    { sed -n 4p whole.jsonl; head -n 2 whole.jsonl; } >mixed.jsonl
    for file in killed.jsonl torn.jsonl mixed.jsonl; do
        panel mllm-judge-pair $model -o $file --resume --json
        equal "$out" "$whole"
        cmp $file whole.jsonl || fail "$file, resumed, differs from one run"
    done
    expect 3 "$critic" eval panel mllm-judge-pair -d "$data" $model --quiet -o whole.jsonl --resume --seed 9
    one_line_error 'of another judge, other flags or other items'
    expect 2 "$critic" eval panel mllm-judge-pair -d "$data" $model --quiet -o whole.jsonl
    one_line_error 'holds results already'
}

# In a benchmark's report, on the same items.
expect 0 "$critic" eval run mllm-judge-pair -d "$data" --baseline first --draws 100 --quiet --panel p.jsonl \
    --report run.html
contains "$(cat run.html)" 'Diseases that judges have'
contains "$(cat run.json)" '"panel":[{"name":"parse failures"'
equal "$(wc -l <p.jsonl)" 30

: >empty.jsonl
expect 2 "$critic" eval panel mllm-judge-pair -d "$data" --verdicts empty.jsonl
one_line_error 'asks about changed items'
expect 3 "$critic" eval panel mllm-judge-batch -d "$data" --baseline coin --quiet
one_line_error 'MLLM-as-a-Judge, batch ranks'
