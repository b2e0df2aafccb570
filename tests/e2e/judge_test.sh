#!/bin/sh
# critic judge on the tiny checkpoint: modes, batches, resume after kill -9, Ctrl-C.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
picture=$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg
model=$tiny/ov-lmms
judge="$critic judge --model $model"

# shellcheck disable=SC2086
{
    expect 0 $judge --image "$picture" --question 'What?' --answer 'A cat.' --verdict-only
    contains "$out" "score "
    contains "$err" " picture tiles, "
    expect 0 $judge --image "$picture" --question 'What?' --answer 'A cat.' --answer 'A dog.' --verdict-only --both-orders
    contains "$out" "orders"
    contains "$out" "%"
    expect 0 $judge --image "$picture" --question 'What?' --answer a --answer b --answer c --verdict-only --quiet
    contains "$out" "best first: "
    equal "$err" ""
    expect 0 $judge --question 'No picture?' --answer 'A cat.' --verdict-only --json --scale 1-10
    contains "$out" '"mode":"pointwise","status":"ok"'
    contains "$out" '"image_tiles":0'
    printf 'A cat.' >"$tmp/answer"
    expect 0 $judge --image - --question 'What?' --answer-file "$tmp/answer" --verdict-only --json <"$picture"
    contains "$out" '"status":"ok"'

    # What cannot be read is a failure with the text kept, never a score.
    expect 1 $judge --image "$picture" --question 'What?' --answer 'A cat.' --json --max-new-tokens 8
    contains "$out" '"status":"unparsed","verdict":null'
    expect 1 $judge --image "$picture" --question 'What?' --answer 'A cat.' --max-new-tokens 8
    contains "$out" "no verdict: "

    # Colours only where asked for.
    escape=$(printf '\033')
    expect 0 $judge --question Q --answer A --verdict-only --color always
    contains "$out" "$escape"
    expect 0 $judge --question Q --answer A --verdict-only
    lacks "$out" "$escape"
    expect 0 env NO_COLOR=1 $judge --question Q --answer A --verdict-only
    lacks "$out" "$escape"

    # Somebody's own wording, byte for byte; a wrong one names file and line.
    printf '%s\n' 'Q: {question} A: {answer} Score (0-100):' >"$tmp/own.txt"
    status=0
    $judge --question Q --answer A --template "$tmp/own.txt" --max-new-tokens 4 --json >"$tmp/.own" || status=$?
    [ "$status" -le 1 ] || fail "own template: exit status $status"
    contains "$(cat "$tmp/.own")" '"template":'
    expect 2 $judge --question Q --answer A --template no-such-template
    one_line_error "no-such-template"
    expect 2 $judge --question Q --answer A --scale 5
    one_line_error
    expect 3 $judge --image "$tmp/none.jpg" --question Q --answer A
    one_line_error "none.jpg"
    expect 3 $judge --image "$picture" --question Q --answer A --context 100
    one_line_error
}

# ---- batches ---------------------------------------------------------------------------------
cp "$picture" "$tmp/cat.jpg"
i=0
while [ $i -lt 160 ]; do
    printf '{"id":"item-%d","images":["cat.jpg"],"question":"What is it?","responses":["A cat %d.","A dog."]}\n' $i $i
    i=$((i + 1))
done >"$tmp/in.jsonl"
batch="$judge --input $tmp/in.jsonl --max-new-tokens 48 --quiet"
strip() { # what must not change from run to run
    sed 's/"usage":{[^}]*},//; s/"cached_tokens":[0-9]*,//g' "$1"
}
# Random weights hardly ever write a verdict: status 1, every line there all the same.
status=0
# shellcheck disable=SC2086
$batch --output "$tmp/whole.jsonl" || status=$?
[ $status -le 1 ] || fail "batch: exit status $status"
equal "$(wc -l <"$tmp/whole.jsonl")" 160

wait_for_lines() { # FILE N
    tries=0
    while [ ! -f "$1" ] || [ "$(wc -l <"$1")" -lt "$2" ]; do
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || fail "nothing was written to $1"
        sleep 0.05
    done
}
# kill -9 in the middle: the items in work are lost, no others.
# shellcheck disable=SC2086
$batch --output "$tmp/killed.jsonl" &
pid=$!
wait_for_lines "$tmp/killed.jsonl" 3
kill -9 $pid
wait $pid 2>/dev/null || true
# A signal drops the items in work, and says how to go on.
status=0
# shellcheck disable=SC2086
$judge --input "$tmp/in.jsonl" --max-new-tokens 48 --output "$tmp/killed.jsonl" --resume 2>"$tmp/.err" &
pid=$!
before=$(wc -l <"$tmp/killed.jsonl")
wait_for_lines "$tmp/killed.jsonl" $((before + 2))
kill -TERM $pid
wait $pid || status=$?
if [ $status -eq 130 ]; then
    contains "$(cat "$tmp/.err")" "go on with --resume"
    equal "$(tail -c 1 "$tmp/killed.jsonl")" ""
    [ "$(wc -l <"$tmp/killed.jsonl")" -lt 160 ] || fail "the signal came too late to mean anything"
else
    fail "after SIGTERM: exit status $status"
fi
status=0
# shellcheck disable=SC2086
$batch --output "$tmp/killed.jsonl" --resume || status=$?
[ $status -le 1 ] || fail "resume: exit status $status"
strip "$tmp/whole.jsonl" >"$tmp/whole"
strip "$tmp/killed.jsonl" >"$tmp/killed"
cmp "$tmp/whole" "$tmp/killed" || fail "a resumed run says something else"
# shellcheck disable=SC2086
{
    expect 2 $batch --output "$tmp/whole.jsonl"
    one_line_error "--resume"
    # Many items need not end for want of one.
    { sed -n 1p "$tmp/in.jsonl"; echo '{"id":"bad","images":["none.jpg"],"question":"Q","responses":["A"]}'
      echo 'not json'; sed -n 2p "$tmp/in.jsonl"; } >"$tmp/mixed.jsonl"
    expect 1 $judge --input "$tmp/mixed.jsonl" --verdict-only
    equal "$(printf '%s\n' "$out" | grep -c '"status":"ok"')" 2
    equal "$(printf '%s\n' "$out" | grep -c '"status":"error"')" 2
    expect 1 $judge --input - --output - --verdict-only <"$tmp/mixed.jsonl"
    expect 3 $judge --input "$tmp/no-such.jsonl"
    one_line_error "no-such.jsonl"
}

# Ctrl-C while one item is in work. (A shell's background job ignores SIGINT, SIGTERM does the same.)
status=0
# shellcheck disable=SC2086
$judge --image "$picture" --question Q --answer A --samples 1000 --temperature 1 2>"$tmp/.err" >"$tmp/.out" &
pid=$!
sleep 1
kill -TERM $pid
wait $pid || status=$?
equal "$status" 130
one_line_error
equal "$(cat "$tmp/.out")" ""
