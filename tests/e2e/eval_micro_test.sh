#!/bin/sh
# critic eval micro with random weights: the numbers mean nothing, their shape does.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
run="eval micro --model $tiny/ov-lmms --limit 2 --questions 1 --threads 1 --quiet"
# shellcheck disable=SC2086
{
    expect 0 "$critic" $run --json --report "$tmp/micro.html"
    contains "$out" '{"critic":{"pair_accuracy":'
    for key in pearson swap_consistency faithfulness ece blind_pair_accuracy obedience longer easy_share unparsed; do
        contains "$out" "\"$key\":"
    done
    lacks "$out" '"base":{"pair'
    first=$(printf '%s' "$out" | sed 's/"seconds":[0-9.e-]*//g')
    contains "$(head -c 200 "$tmp/micro.html")" '<!DOCTYPE html>'
    # The same seed, the same numbers.
    expect 0 "$critic" $run --json --base-model "$tiny/ov-lmms"
    again=$(printf '%s' "$out" | sed 's/"seconds":[0-9.e-]*//g')
    contains "$again" "${first%%,\"split\"*}"
    contains "$out" '"base":{"pair_accuracy":'
    expect 2 "$critic" $run --split nowhere
    one_line_error "--split"
}
