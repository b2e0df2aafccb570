#!/bin/sh
# Packed files from the command line: made once, known by their content whatever their name, the same answers
# as quantising on opening, and nothing left behind where the disk is full.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
picture=$CRITIC_SOURCE_DIR/tests/golden/images/coffee-444-odd.jpg

# A name without an ending, the tower inside.
expect 0 "$critic" convert "$tiny/ov-lmms" "$tmp/judge" --to packed
contains "$out" "read back and found equal"
[ -f "$tmp/judge" ] || fail "no packed file"
equal "$(find "$tmp" -name '*judge*')" "$tmp/judge"

# ---- every command that takes a model ----------------------------------------------------------------
same() { # COMMAND FLAGS…: the same standard output as the source quantised on opening
    command=$1
    shift
    expect 0 "$critic" "$command" --model "$tiny/ov-lmms" --dtype int8 "$@"
    want=$out
    expect 0 "$critic" "$command" --model "$tmp/judge" "$@"
    equal "$out" "$want"
}
same generate --prompt 'Which is better?' --image "$picture" --greedy --max-new-tokens 8
same generate --prompt 'Which is better?' --temperature 1 --seed 3 --max-new-tokens 8
same generate --prompt Hi --greedy --max-new-tokens 4 --isa scalar
for model in "$tiny/ov-lmms" "$tmp/judge"; do
    "$critic" tokenize --model "$model" <"$CRITIC_SOURCE_DIR/README.md" >"$tmp/ids-$(basename "$model")"
done
cmp "$tmp/ids-ov-lmms" "$tmp/ids-judge" || fail "another tokenizer"
expect 0 "$critic" forward --model "$tmp/judge" --prompt Hi --dump "$tmp/dump"
expect 0 "$critic" perplexity --model "$tmp/judge" --text "$(head -c 600 "$CRITIC_SOURCE_DIR/README.md")" --json
got=0
"$critic" judge --model "$tmp/judge" --image "$picture" --question Q --answer A --verdict-only --json >"$tmp/.out" 2>"$tmp/.err" || got=$?
[ "$got" -le 1 ] || fail "judge: exit status $got: $(cat "$tmp/.err")"
contains "$(cat "$tmp/.out")" '"verdict"'
expect 0 "$critic" inspect "$tmp/judge" --check
contains "$out" "packed int8"
contains "$out" "PANEL8"
lacks "$out" "not used"
expect 2 "$critic" inspect "$tiny/ov-lmms" --check
one_line_error "not"
expect 0 "$critic" convert "$tiny/ov-lmms" "$tmp/four" --to packed --dtype q4 --quiet
expect 0 "$critic" inspect "$tmp/four" --json
contains "$out" "packed q4"
contains "$out" '"kv_bytes_per_token":198' # 3 layers x 2 heads x (10 x 2 + 12 + 1): keys and values in 8 bits

# ---- what it is not for --------------------------------------------------------------------------------
expect 2 "$critic" generate --model "$tmp/judge" --prompt Hi --dtype bf16
one_line_error "expected --dtype auto or int8"
expect 2 "$critic" generate --model "$tmp/four" --prompt Hi --dtype int8
one_line_error "expected --dtype auto or q4"
expect 3 "$critic" convert "$tmp/judge" "$tmp/back" --to safetensors-hf
one_line_error "for judging only"
expect 2 "$critic" convert "$tiny/ov-lmms" "$tmp/x" --to packed --dtype q8_0
one_line_error
expect 2 "$critic" convert "$tiny/ov-lmms" "$tmp/x.gguf" --to gguf --dtype int8
one_line_error
echo '{"id": "1", "image": "x.png", "conversations": []}' >"$tmp/data.jsonl"
expect 3 "$critic" train sft --model "$tmp/judge" --data "$tmp/data.jsonl" --out "$tmp/run"
one_line_error "for judging only"
expect 2 "$critic" convert "$tmp/judge" "$tmp/judge" --to packed
one_line_error

# ---- broken ---------------------------------------------------------------------------------------------
head -c 50000 "$tmp/judge" >"$tmp/cut"
expect 3 "$critic" generate --model "$tmp/cut" --prompt Hi
one_line_error "cut"
place=$(grep -abo panels-64x4 "$tmp/judge" | head -n 1 | cut -d : -f 1)
cp "$tmp/judge" "$tmp/other"
printf 'panels-32x8' | dd of="$tmp/other" bs=1 seek="$place" conv=notrunc 2>"$tmp/.dd"
expect 3 "$critic" generate --model "$tmp/other" --prompt Hi
one_line_error "pack the checkpoint again"

# ---- a full disk, a file that was there -------------------------------------------------------------------
cp "$tmp/judge" "$tmp/kept"
(
    ulimit -f 100
    trap '' XFSZ
    got=0
    "$critic" convert "$tiny/wide-hf-old-flat" "$tmp/kept" --to packed 2>"$tmp/.err" || got=$?
    [ "$got" -eq 4 ] || fail "exit status $got on a full disk: $(cat "$tmp/.err")"
)
err=$(cat "$tmp/.err")
one_line_error "kept"
cmp "$tmp/judge" "$tmp/kept" || fail "a full disk cost the old file"
equal "$(find "$tmp" -name '*kept*')" "$tmp/kept"
expect 4 "$critic" convert "$tiny/ov-lmms" "$tmp/no/such/place" --to packed
one_line_error
expect 0 "$critic" convert "$tiny/tied-lmms" "$tmp/kept" --to packed
expect 0 "$critic" inspect "$tmp/kept" --check
