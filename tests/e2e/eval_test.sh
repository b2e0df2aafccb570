#!/bin/sh
# critic eval: verdict files of other judges, scored by the benchmarks' own rules.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
data=$CRITIC_SOURCE_DIR/tests/golden/eval

expect 2 "$critic" eval
one_line_error "no command given"
expect 2 "$critic" eval llava-revews
one_line_error "did you mean 'eval llava-reviews'?"
expect 0 "$critic" eval --help
contains "$out" 'llava-reviews'

# ---- LLaVA-Bench reviews
expect 0 "$critic" eval llava-reviews --json --quiet "$data"/llava-reviews/*.jsonl
contains "$out" '"n":80,"scored":80,"mean_reference":8.3,"mean_candidate":8.19375,"relative_score":98.7198795,"parsed":80,"by_rule":77,"recorded":3,"unparsed":0,"differ":1'
contains "$out" '"relative_score":92.0634921,"parsed":80,"by_rule":77,"recorded":3,"unparsed":0,"differ":0'
expect 0 "$critic" eval llava-reviews "$data"/llava-reviews/review_bard_vicuna-13b.jsonl
contains "$err" 'review 70: counts as 10, 2 (recorded); the text says 10, 4'

printf '%s\n' '{"question_id": 1, "text": "8 9"}' '{"question_id": 1, "text": "8 4"}' '{"question_id": 2}' \
    'not json' '{"question_id": 3, "text": "nothing"}' >"$tmp/bad.jsonl"
expect 1 "$critic" eval llava-reviews --json "$tmp/bad.jsonl"
contains "$out" '"n":2,"scored":1,"mean_reference":8.0,"mean_candidate":4.0,"relative_score":50.0'
contains "$err" "bad.jsonl:2: question_id '1' stands twice; the last one counts"
contains "$err" "bad.jsonl:3: has no 'text' of the judge"
contains "$err" 'bad.jsonl:4: not valid JSON'
equal "$(wc -l <"$tmp/.err")" 3
# No pair at all: no score, never 100.
printf '%s\n' '{"question_id": 1, "text": "no"}' >"$tmp/none.jsonl"
expect 1 "$critic" eval llava-reviews --json "$tmp/none.jsonl"
contains "$out" '"relative_score":null'
: >"$tmp/empty.jsonl"
expect 3 "$critic" eval llava-reviews "$tmp/empty.jsonl"
one_line_error 'is empty'
printf '\377\376{\0' >"$tmp/utf16.jsonl"
expect 3 "$critic" eval llava-reviews "$tmp/utf16.jsonl"
one_line_error 'UTF-16'
expect 3 "$critic" eval llava-reviews "$tmp/absent.jsonl"
one_line_error 'absent.jsonl'
