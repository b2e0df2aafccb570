#!/bin/sh
# critic perplexity, and the precisions int8 and q4, on the tiny checkpoints.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
model=$tiny/ov-lmms
picture=$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg
head -c 700 "$CRITIC_SOURCE_DIR/bench/perplexity/prose.txt" >"$tmp/text.txt"

expect 0 "$critic" perplexity --model "$model" --text-file "$tmp/text.txt" --window 128 --dtype f32 \
    --save "$tmp/f32.safetensors" --json
contains "$out" '"perplexity":'
base=$(printf '%s' "$out" | sed 's/.*"nll":\([0-9.]*\).*/\1/')

# Another precision beside it: near, not the same, and the same for any number of threads.
for dtype in int8 q4; do
    expect 0 "$critic" perplexity --model "$model" --text-file "$tmp/text.txt" --window 128 --dtype $dtype \
        --against "$tmp/f32.safetensors" --json --threads 1
    contains "$out" '"same_top":'
    contains "$out" '"ratio":'
    nll=$(printf '%s' "$out" | sed 's/.*"nll":\([0-9.]*\).*/\1/')
    [ "$nll" != "$base" ] || fail "$dtype has the very perplexity of f32"
    one=$out
    expect 0 "$critic" perplexity --model "$model" --text-file "$tmp/text.txt" --window 128 --dtype $dtype \
        --against "$tmp/f32.safetensors" --json --threads 2
    equal "$out" "$one"
    expect 0 "$critic" generate --model "$model" --image "$picture" --prompt 'What is it?' --max-new-tokens 4 \
        --dtype $dtype
    contains "$err" "4 written"
done

# What does not belong together is refused.
expect 3 "$critic" perplexity --model "$model" --text-file "$tmp/text.txt" --quiet --window 64 --against "$tmp/f32.safetensors"
one_line_error "was not written by --save for the same text"
expect 3 "$critic" perplexity --model "$model" --text other --quiet --against "$tmp/f32.safetensors"
one_line_error "was not written by --save for the same text"
expect 3 "$critic" perplexity --model "$model" --text a
one_line_error "has 1 token; expected at least 2"
expect 2 "$critic" perplexity --model "$model"
one_line_error "no text"
expect 2 "$critic" perplexity --model "$model" --text abc --window 1
one_line_error "window"
