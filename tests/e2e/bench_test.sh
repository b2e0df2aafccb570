#!/bin/sh
# critic bench on a tiny network: what it prints, not how fast it is.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"

bench="bench --shape tiny --passes 1 --threads 1 --image-width 60 --image-height 50"
# shellcheck disable=SC2086
{
    expect 0 "$critic" $bench --only pre --json --quiet
    equal "$err" ""
    contains "$out" '{"ceilings":{"f32":'
    contains "$out" '"phases":[{"name":"prefill","dtype":"'
    contains "$out" '"shape":"tiny","tokens":256,"seconds":'
    lacks "$out" '"name":"decode"'
    printf '%s\n' "$out" >"$tmp/before.json"
    expect 0 "$critic" $bench --only pre --compare "$tmp/before.json"
    contains "$out" "network    tiny"
    contains "$out" "x  was "
    expect 0 "$critic" $bench --only pre --tokens 40 --json --quiet
    contains "$out" '"tokens":40,"seconds":'
    lacks "$out" '"tokens":256'

    expect 3 "$critic" $bench --compare "$tmp/nowhere.json"
    one_line_error nowhere.json
    echo '{"phases":[]}' >"$tmp/other.json"
    expect 3 "$critic" $bench --compare "$tmp/other.json"
    one_line_error "other.json: expected what 'critic bench --json' prints"
    expect 2 "$critic" $bench --model "$tiny/ov-lmms"
    one_line_error --shape
}
expect 2 "$critic" bench --shape giant
one_line_error "qwen-1.5b"
expect 0 "$critic" bench --model "$tiny/ov-lmms" --passes 1 --only projector --threads 1 --json
contains "$out" '"shape":"ov-lmms"'
expect 0 "$critic" bench --shape tiny --quick --only jpeg --threads 1 --dtype f32 --json
contains "$out" '"name":"jpeg","dtype":"f32"'

# ---- what prompts share, and the page ------------------------------------------------------
# shellcheck disable=SC2086
{
    expect 0 "$critic" $bench --only ordered --json --report "$tmp/bench.html" --quiet
    contains "$out" '"ratios":{"pairs_20":'
    page=$(cat "$tmp/bench.html")
    contains "$page" "Share of the ceiling"
    contains "$page" "ordered_pairs_20"
    contains "$page" "times as fast as each alone"
    printf '%s\n' "$out" >"$tmp/pairs.json"
    expect 0 "$critic" $bench --only ordered --compare "$tmp/pairs.json" --report "$tmp/bench.html"
    contains "$out" "20 ordered pairs are "
    contains "$(cat "$tmp/bench.html")" "compared with"
    expect 4 "$critic" $bench --only jpeg --quiet --report "$tmp/no/bench.html"
    one_line_error bench.html
    # The page's place is tried before anything else: a shape that is none is not reached.
    expect 4 "$critic" bench --shape giant --report "$tmp/no/bench.html"
    one_line_error bench.html
}
