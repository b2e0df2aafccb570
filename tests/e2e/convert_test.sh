#!/bin/sh
# critic convert: every layout to every target; what comes out is the same model, and what cannot be
# written leaves nothing behind.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
picture=$CRITIC_SOURCE_DIR/tests/golden/images/coffee-444-odd.jpg

# The logits of one prompt as bytes: f32, the rounding of the source whatever the layout says.
logits() { # MODEL OUT
    expect 0 "$critic" forward --model "$1" --image "$picture" --prompt 'Which is better?' --dtype f32 \
        --preprocess lmms --threads 1 --logits-last 3 --dump "$2"
}

# ---- the same weights in every layout and from every layout give the same dump ----------------------
logits "$tiny/ov-lmms" "$tmp/want"
for source in ov-lmms ov-lmms-sharded ov-hf-old ov-hf-old-flat ov-hf-mem ov-hf-mem-flat; do
    logits "$tiny/$source" "$tmp/got"
    cmp "$tmp/want" "$tmp/got" || fail "$source gives other numbers than ov-lmms"
    for target in safetensors-hf safetensors-lmms gguf; do
        out=$tmp/out
        [ $target != gguf ] || out=$tmp/out.gguf
        path=$out
        expect 0 "$critic" convert "$tiny/$source" "$path" --to $target --dtype bf16 --quiet
        equal "$err" ""
        logits "$path" "$tmp/got"
        cmp "$tmp/want" "$tmp/got" || fail "$source as $target gives other numbers"
        rm -rf "$tmp/out" "$tmp/out.gguf" "$tmp/mmproj-out.gguf"
    done
done

# ---- there and back: the bytes of the weights -----------------------------------------------------------
expect 0 "$critic" convert "$tiny/ov-lmms" "$tmp/hf" --to safetensors-hf
contains "$out" "read back and found equal"
expect 0 "$critic" convert "$tmp/hf" "$tmp/pair.gguf" --to gguf --dtype f32
[ -f "$tmp/mmproj-pair.gguf" ] || fail "no vision part"
expect 0 "$critic" convert "$tmp/pair.gguf" "$tmp/back" --to safetensors-lmms --dtype bf16
expect 0 "$critic" convert "$tiny/ov-lmms" "$tmp/once" --to safetensors-lmms --dtype bf16
cmp "$tmp/back/model.safetensors" "$tmp/once/model.safetensors" || fail "weights changed on the way"
for file in config.json generation_config.json tokenizer.json; do
    [ -s "$tmp/back/$file" ] || fail "no $file"
done
expect 0 "$critic" inspect "$tmp/back"
contains "$out" "lmms"
# The pair without its vision part is a text model, and says so when a picture comes.
mkdir "$tmp/text"
cp "$tmp/pair.gguf" "$tmp/text"
expect 0 "$critic" generate --model "$tmp/text" --prompt Hi --max-new-tokens 2
expect 3 "$critic" generate --model "$tmp/text" --prompt Hi --image "$picture"
one_line_error
# Blocks of 32 where the width allows, the rest named.
expect 0 "$critic" convert "$tiny/tied-lmms" "$tmp/q8.gguf" --to gguf --dtype q8_0
contains "$out" "multiple of 32"

# ---- what cannot be ---------------------------------------------------------------------------------------
expect 2 "$critic" convert "$tiny/ov-lmms"
one_line_error
expect 2 "$critic" convert "$tiny/ov-lmms" "$tmp/x" --to pickle
one_line_error "pickle"
expect 2 "$critic" convert "$tiny/ov-lmms" "$tmp/x" --to safetensors-hf --dtype q8_0
one_line_error
expect 2 "$critic" convert "$tiny/ov-lmms" "$tmp/x" --to gguf
one_line_error ".gguf"
mkdir "$tmp/full"
echo precious >"$tmp/full/config.json"
got=0
"$critic" convert "$tiny/ov-lmms" "$tmp/full" --to safetensors-hf 2>"$tmp/.err" || got=$?
[ "$got" -ne 0 ] || fail "a folder that holds something was written over"
equal "$(cat "$tmp/full/config.json")" precious
expect 4 "$critic" convert "$tiny/ov-lmms" "$tmp/no/such/place" --to safetensors-hf
one_line_error
mkdir "$tmp/cut"
cp "$tiny/ov-lmms"/*.json "$tmp/cut"
head -c 40000 "$tiny/ov-lmms/model.safetensors" >"$tmp/cut/model.safetensors"
expect 3 "$critic" convert "$tmp/cut" "$tmp/never" --to safetensors-hf
one_line_error "model.safetensors"
[ ! -e "$tmp/never" ] || fail "a failed conversion left something behind"
# A disk that fills up while it writes.
(
    ulimit -f 40
    trap '' XFSZ
    got=0
    "$critic" convert "$tiny/ov-lmms" "$tmp/disk" --to safetensors-hf 2>"$tmp/.err" || got=$?
    [ "$got" -eq 4 ] || fail "exit status $got on a full disk: $(cat "$tmp/.err")"
)
err=$(cat "$tmp/.err")
one_line_error "model.safetensors"
leftovers=$(find "$tmp" -name 'disk*')
equal "$leftovers" ""
