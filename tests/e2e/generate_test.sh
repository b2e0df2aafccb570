#!/bin/sh
# critic generate, forward, tokenize and inspect on the tiny checkpoints.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
picture=$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg
model=$tiny/ov-lmms

expect 0 "$critic" generate --model "$model" --image "$picture" --prompt 'What is it?' --max-new-tokens 12
contains "$err" "12 written"
text=$out
expect 0 "$critic" generate --model "$model" --image - --prompt 'What is it?' --max-new-tokens 12 \
    --quiet <"$picture"
equal "$out" "$text"
equal "$err" ""
# Memory is announced before it is taken.
expect 0 "$critic" generate --model "$model" --image "$picture" --prompt 'What is it?' --max-new-tokens 12 -n 2 \
    --temperature 1 --verbose
contains "$err" "keys and values: 2"
contains "$err" "keys and values of the answers: at most 24 tokens, "
printf 'What is it?' >"$tmp/prompt.txt"
expect 0 "$critic" generate --model "$model" --image "$picture" --prompt-file "$tmp/prompt.txt" \
    --max-new-tokens 12 --json --logprobs --threads 1
contains "$out" '"finish_reason":"length"'
contains "$out" '"logprobs":[-'
contains "$out" '"completion_tokens":12'

# Sample i is the same whatever n is; another seed is another text.
expect 0 "$critic" generate --model "$model" --prompt Hi -n 2 --temperature 1 --seed 7 --max-new-tokens 8 --json
contains "$out" '"samples":[{'
two=$(printf '%s' "$out" | sed 's/.*"samples":\[{\([^}]*\)}.*/\1/')
expect 0 "$critic" generate --model "$model" --prompt Hi -n 1 --temperature 1 --seed 7 --max-new-tokens 8 --json
contains "$out" "$two"
expect 0 "$critic" generate --model "$model" --prompt Hi -n 1 --temperature 1 --seed 8 --max-new-tokens 8 --json
lacks "$out" "$two"

# Self-critique: the draft is what the model says alone; every round is reported.
expect 0 "$critic" generate --model "$model" --image "$picture" --prompt 'What is it?' --max-new-tokens 12 \
    --refine 2 --json --threads 1
contains "$out" '"rounds":[{"notes":"'
draft=$(printf '%s' "$out" | sed 's/.*"draft":"\(.*\)","rounds".*/\1/')
expect 0 "$critic" generate --model "$model" --image "$picture" --prompt 'What is it?' --max-new-tokens 12 --json
contains "$out" "\"text\":\"$draft\""
expect 2 "$critic" generate --model "$model" --prompt Hi --refine 1 -n 2 --temperature 1
one_line_error "--refine"

# Marks and pictures must agree.
expect 3 "$critic" generate --model "$model" --raw --prompt '<image> <image>' --image "$picture"
one_line_error
expect 3 "$critic" generate --model "$model" --raw --prompt 'no mark' --image "$picture"
one_line_error
expect 3 "$critic" generate --model "$model" --image "$picture" --prompt P --context 64
one_line_error
expect 3 "$critic" generate --model "$model" --image "$picture" --prompt P --max-image-px 100
one_line_error "cat-wide.jpg"
expect 3 "$critic" generate --model "$model" --image "$picture" --prompt P --max-image-bytes 1K
one_line_error "cat-wide.jpg"

# ---- batches -----------------------------------------------------------------------------
cp "$picture" "$tmp/cat.jpg"
{
    echo '{"id":"a","images":["cat.jpg"],"prompt":"What is it?"}'
    echo
    echo '{"id":2,"prompt":"Hello"}'
    echo '{"id":"c","images":["nowhere.jpg"],"prompt":"Hello"}'
    echo 'not json'
    echo '{"id":"e","prompt":"<image> is plain text"}'
} >"$tmp/in.jsonl"
batch="generate --model $model --input $tmp/in.jsonl --output $tmp/out.jsonl --max-new-tokens 4"
# shellcheck disable=SC2086
{
    expect 1 "$critic" $batch
    contains "$err" "5 prompts: 3 answered, 2 failed, 0 were there"
    equal "$(wc -l <"$tmp/out.jsonl")" 5
    contains "$(sed -n 1p "$tmp/out.jsonl")" '{"id":"a","status":"ok"'
    contains "$(sed -n 3p "$tmp/out.jsonl")" 'nowhere.jpg: cannot open'
    contains "$(sed -n 4p "$tmp/out.jsonl")" "in.jsonl:5:"
    expect 2 "$critic" $batch
    one_line_error "holds results already"
    # A torn line is cut off, what is finished stays, the rest is done.
    head -n 1 "$tmp/out.jsonl" >"$tmp/first"
    { cat "$tmp/first"; printf '{"id":"2","stat'; } >"$tmp/out.jsonl"
    expect 1 "$critic" $batch --resume
    contains "$err" "5 prompts: 2 answered, 2 failed, 1 were there"
    equal "$(head -n 1 "$tmp/out.jsonl")" "$(cat "$tmp/first")"
    equal "$(wc -l <"$tmp/out.jsonl")" 5
    expect 2 "$critic" generate --model "$tiny/tied-lmms" --input "$tmp/in.jsonl" --output "$tmp/out.jsonl" --resume
    one_line_error "another model"
}
# 70 prompts of several lengths side by side, more than the lanes and the ring hold: in order, and each what it says alone.
said() { # FILE: ids and answers, a line an item
    sed 's/.*"id":"\([^"]*\)".*/\1 &/; s/"usage":.*//' "$1"
}
i=0
while [ $i -lt 70 ]; do
    echo "{\"id\":\"i$i\",\"images\":[\"cat.jpg\"],\"prompt\":\"$(printf "%$((i % 7))s" | tr ' ' x) number $i\"}"
    i=$((i + 1))
done >"$tmp/many.jsonl"
sampled="--model $model --max-new-tokens 6 -n 2 --temperature 1 --seed 5 --quiet"
# shellcheck disable=SC2086
{
    expect 0 "$critic" generate $sampled --input "$tmp/many.jsonl" --output "$tmp/many-out.jsonl"
    equal "$(sed 's/.*"id":"\([^"]*\)".*/\1/' "$tmp/many-out.jsonl")" "$(sed 's/.*"id":"\([^"]*\)".*/\1/' "$tmp/many.jsonl")"
    for i in 1 36 70; do
        sed -n "${i}p" "$tmp/many.jsonl" >"$tmp/one.jsonl"
        expect 0 "$critic" generate $sampled --input "$tmp/one.jsonl" --output "$tmp/one-out.jsonl" --force
        sed -n "${i}p" "$tmp/many-out.jsonl" >"$tmp/one-of-many.jsonl"
        equal "$(said "$tmp/one-of-many.jsonl")" "$(said "$tmp/one-out.jsonl")"
    done
}
expect 4 "$critic" generate --model "$model" --input "$tmp/in.jsonl" --output "$tmp/no/out.jsonl"
one_line_error "cannot write"

# ---- forward --------------------------------------------------------------------------------
expect 0 "$critic" forward --model "$model" --image "$picture" --prompt Hi --dump "$tmp/all.safetensors" --layers
for tensor in input_ids tiles_per_image pixel_values image_features hidden_states hidden_states.0 \
    vision_hidden_states.0 logits; do
    contains "$out" " $tensor ("
done
contains "$out" "I64   input_ids ("
expect 0 "$critic" forward --model "$model" --image "$picture" --prompt Hi --dump "$tmp/last.safetensors" \
    --logits-last 2 --json
contains "$out" '{"name":"logits","dtype":"F32","shape":[2,'
expect 4 "$critic" forward --model "$model" --prompt Hi --dump "$tmp/no/x.safetensors"
one_line_error "no/x.safetensors"

# ---- tokenize --------------------------------------------------------------------------------
printf 'Hello <|im_end|> \n' >"$tmp/text"
expect 0 "$critic" tokenize --model "$model" <"$tmp/text"
with=$out
expect 0 "$critic" tokenize --model "$model" --no-special <"$tmp/text"
[ "$with" != "$out" ] || fail "--no-special changes nothing"
printf '%s\n' "$with" >"$tmp/ids"
expect 0 "$critic" tokenize --model "$model" --decode <"$tmp/ids"
cmp "$tmp/.out" "$tmp/text" || fail "decode(encode(text)) is another text"
printf '"Hello"\n"a\\u0000b"\n""\n' >"$tmp/lines"
expect 0 "$critic" tokenize --model "$model" --jsonl <"$tmp/lines"
equal "$(printf '%s\n' "$out" | wc -l)" 3
equal "$(printf '%s\n' "$out" | tail -n 1)" "[]"
printf '%s\n' "$out" >"$tmp/ids"
expect 0 "$critic" tokenize --model "$model" --jsonl --decode <"$tmp/ids"
equal "$out" "$(cat "$tmp/lines")"
printf 'a\377' >"$tmp/bad"
expect 3 "$critic" tokenize --model "$model" <"$tmp/bad"
one_line_error "standard input"
echo '[999999]' >"$tmp/bad"
expect 3 "$critic" tokenize --model "$model" --decode <"$tmp/bad"
one_line_error "standard input:1"
echo '{' >"$tmp/bad"
expect 3 "$critic" tokenize --model "$model" --jsonl <"$tmp/bad"
one_line_error "standard input:1"

# ---- inspect ----------------------------------------------------------------------------------
for layout in "$tiny"/*/; do
    expect 0 "$critic" inspect "$layout"
    contains "$out" "parameters "
    expect 0 "$critic" inspect "$layout" --json --tensors
    contains "$out" '"tensor_list":[{'
done
head -c 1000 "$model/model.safetensors" >"$tmp/model.safetensors"
cp "$model/config.json" "$tmp"
expect 3 "$critic" inspect "$tmp"
one_line_error "model.safetensors"
