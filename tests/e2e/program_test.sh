#!/bin/sh
# What every command shares: help, where the model comes from, standard input and output, colours,
# instruction sets, Ctrl-C, a full disk.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
picture=$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg
model=$tiny/ov-lmms

expect 0 "$critic" --help
for command in $(printf '%s\n' "$out" | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    expect 0 "$critic" "$command" --help
    contains "$out" "usage: critic $command"
    contains "$out" "critic $command"
    equal "$err" ""
done
expect 0 "$critic" --version
contains "$out" "critic "

# ---- info --------------------------------------------------------------------------------------------
expect 0 "$critic" info
for word in kernels threads memory micro-base oneDNN Jansson libjpeg-turbo; do
    contains "$out" "$word"
done
expect 0 "$critic" info --json
contains "$out" '"libraries":{'
equal "$(printf '%s\n' "$out" | wc -l)" 1

# ---- the model: flag, environment, hub id in the local cache ---------------------------------------------------
expect 0 "$critic" generate --model "$model" --prompt Hi --max-new-tokens 4 --quiet
text=$out
expect 0 env CRITIC_MODEL="$model" "$critic" generate --prompt Hi --max-new-tokens 4 --quiet
equal "$out" "$text"
snapshot=$tmp/hub/models--some--model/snapshots/0123456789abcdef
mkdir -p "$snapshot" "$tmp/hub/models--some--model/refs"
cp "$model"/* "$snapshot"
printf 0123456789abcdef >"$tmp/hub/models--some--model/refs/main"
expect 0 env HF_HUB_CACHE="$tmp/hub" "$critic" generate --model some/model --prompt Hi --max-new-tokens 4 --quiet
equal "$out" "$text"
mkdir -p "$tmp/home"
mv "$tmp/hub" "$tmp/home/hub"
expect 0 env HF_HOME="$tmp/home" "$critic" generate --model some/model --prompt Hi --max-new-tokens 4 --quiet
equal "$out" "$text"
expect 3 env HF_HUB_CACHE="$tmp/nowhere" "$critic" generate --model some/model --prompt Hi
one_line_error "some/model"
# A single file of weights finds its configuration beside it.
expect 0 "$critic" generate --model "$model/model.safetensors" --prompt Hi --max-new-tokens 4 --quiet
equal "$out" "$text"

# ---- standard input and output ------------------------------------------------------------------------------------
printf Hi >"$tmp/prompt"
expect 0 "$critic" generate --model "$model" --prompt-file - --max-new-tokens 4 --quiet <"$tmp/prompt"
equal "$out" "$text"
expect 0 "$critic" generate --model "$model" --prompt-file "$tmp/prompt" --max-new-tokens 4 --quiet
equal "$out" "$text"
printf '{"id":1,"prompt":"Hi"}\n' >"$tmp/in.jsonl"
expect 0 "$critic" generate --model "$model" --input - --output - --max-new-tokens 4 --quiet <"$tmp/in.jsonl"
equal "$(printf '%s\n' "$out" | wc -l)" 1
contains "$out" '"status":"ok"'

# ---- instruction sets and threads: one answer -----------------------------------------------------------------------
expect 0 "$critic" judge --model "$model" --image "$picture" --question Q --answer A --answer B \
    --verdict-only --json --dtype f32 --threads 1
verdict=$(printf '%s' "$out" | sed 's/.*"verdict":\("[a-z]*"\).*/\1/')
for isa in $("$critic" info | sed -n 's/.*can run: \(.*\))/\1/p'); do
    expect 0 "$critic" judge --model "$model" --image "$picture" --question Q --answer A --answer B \
        --verdict-only --json --dtype f32 --isa "$isa"
    contains "$out" "\"verdict\":$verdict"
done
other=neon
case $(uname -m) in aarch64 | arm64) other=avx2 ;; esac
expect 2 "$critic" generate --model "$model" --prompt Hi --isa $other
one_line_error "$other"

# ---- colours ----------------------------------------------------------------------------------------------------------
escape=$(printf '\033')
expect 0 env NO_COLOR=1 "$critic" judge --model "$model" --question Q --answer A --verdict-only --color auto
lacks "$out$err" "$escape"

# ---- Ctrl-C -------------------------------------------------------------------------------------------------------------
got=0
env --default-signal=INT "$critic" generate --model "$model" --prompt Hi --max-new-tokens 30000 -n 200 --temperature 1 \
    --seed 1 --quiet >"$tmp/.out" 2>"$tmp/.err" &
pid=$!
sleep 1
kill -INT $pid
wait $pid || got=$?
equal "$got" 130

# ---- a full disk ----------------------------------------------------------------------------------------------------------
if [ -w /dev/full ]; then
    expect 4 sh -c "'$critic' inspect '$model' --json >/dev/full"
    one_line_error "standard output"
fi
(
    ulimit -f 8
    trap '' XFSZ
    got=0
    "$critic" forward --model "$model" --prompt Hi --dump "$tmp/dump.safetensors" 2>"$tmp/.err" || got=$?
    [ $got -eq 4 ] || fail "exit status $got on a full disk: $(cat "$tmp/.err")"
)
err=$(cat "$tmp/.err")
one_line_error "dump.safetensors"
equal "$(find "$tmp" -name 'dump*')" ""
