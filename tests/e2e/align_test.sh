#!/bin/sh
# critic align on a tiny model: two rounds, stopped, moved and gone on with, extended by a third.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
model=$tiny/ov-lmms
cd "$tmp"
cp "$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg" cat.jpg
for i in 1 2 3 4 5 6 7 8; do
    printf '{"id": "p%s", "images": ["cat.jpg"], "prompt": "Question %s about it?"}\n' $i $i
done >prompts.jsonl
head -n 3 prompts.jsonl | sed 's/"p/"e/' >eval.jsonl
echo '{"id": "gone", "images": ["nowhere.jpg"], "prompt": "Where?"}' >>eval.jsonl
run() { # STATUS RUN [FLAG…]
    status=$1
    out_dir=$2
    shift 2
    expect "$status" "$critic" align --policy "$model" --critic longer --prompts prompts.jsonl --eval-prompts eval.jsonl \
        --out "$out_dir" -n 3 --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --dtype f32 "$@" \
        -- --lr 1e-3 --batch 2 --steps 3
}

run 1 whole --rounds 2 # one prompt has no picture
contains "$err" "round 2: train"
contains "$out" "the last policy: whole/round-2/policy"
expect 0 "$critic" generate --model whole/round-2/policy --image cat.jpg --prompt 'What is it?' --max-new-tokens 2 --context 600 --quiet
equal "$(wc -l <whole/rounds.jsonl)" 3
contains "$(sed -n 2p whole/rounds.jsonl)" '"round":1,"prompts":3,"failed":1'
contains "$(sed -n 3p whole/rounds.jsonl)" '"kl":{"value":'
contains "$(cat whole/report.html)" "Answers that changed most"
contains "$(head -n 1 whole/round-2/pairs.samples.jsonl)" '"policy":"round-1/policy"'
[ ! -d whole/round-1/policy/checkpoint-3 ] || fail "a trainer's state that nobody needs is kept"
lacks "$(cat whole/round-2/*.jsonl whole/rounds.jsonl)" "whole/"

# Killed as it trains, its folder moved, gone on with: the same bytes, curves with their times left out.
(cd "$tmp" && exec "$critic" align --policy "$model" --critic longer --prompts prompts.jsonl --eval-prompts eval.jsonl \
    --out broken -n 3 --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --dtype f32 --rounds 2 --quiet \
    -- --lr 1e-3 --batch 2 --steps 3) &
pid=$!
i=0
while [ ! -d broken/round-1/policy ] && [ $i -lt 600 ]; do
    sleep 0.05
    i=$((i + 1))
done
kill -9 $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
mkdir elsewhere
mv broken elsewhere/run
run 1 elsewhere/run --rounds 2 --resume --quiet
equal "$out" ""
(cd whole && find . -type f ! -name metrics.jsonl ! -path '*/policy/report.html' ! -path '*/checkpoint-*') | sort >files
while read -r file; do
    cmp "whole/$file" "elsewhere/run/$file" || fail "$file differs"
done <files
[ "$(wc -l <files)" -gt 20 ] || fail "only $(wc -l <files) files were compared"

# Nothing is done twice; more rounds go on from a finished run; another run's options are refused.
run 1 whole --rounds 2 --resume
equal "$err" ""
run 1 whole --rounds 3 --resume --json
contains "$out" '{"round":3,'
run 2 whole --rounds 2
one_line_error "whole/state.sqlite holds a run already; --resume goes on with it"
run 2 whole --rounds 2 --resume --seed 7
one_line_error "was begun with seed 0; now it is 7"

# An adapter a round, merged into the policy that the next one starts from.
lora() { # STATUS LORA FLAG…
    status=$1 adapter=$2
    shift 2
    expect "$status" "$critic" align --policy "$model" --critic longer --prompts prompts.jsonl --eval-prompts prompts.jsonl --out lora -n 3 \
        --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --dtype f32 --quiet "$@" -- --lr 1e-2 --steps 2 --lora "$adapter"
}
lora 0 r=2 --rounds 2
expect 0 "$critic" generate --model lora/round-2/policy --image cat.jpg --prompt 'What is it?' --max-new-tokens 2 --context 600 --quiet
[ -f lora/round-2/adapter/adapter_model.safetensors ] || fail "no adapter"
for pair in "$model lora/round-1/policy" "lora/round-1/policy lora/round-2/policy"; do
    # shellcheck disable=SC2086
    set -- $pair
    cmp "$1/model.safetensors" "$2/model.safetensors" >.cmp && fail "$2 is $1: nothing was merged"
done
expect 2 "$critic" align --policy "$model" --critic longer --prompts prompts.jsonl --eval-prompts prompts.jsonl --out lora2 -n 3 \
    --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --quiet -- --lora lora/round-1/adapter
one_line_error "every round trains a new adapter"

# The trainer's own words where its flags are wrong; the run can be gone on with.
expect 2 "$critic" align --policy "$model" --critic coin --prompts prompts.jsonl --eval-prompts eval.jsonl --out bad -n 3 \
    --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --quiet -- --lrr 1e-3
one_line_error "--lrr"
expect 2 "$critic" align --policy "$model" --critic coin --prompts prompts.jsonl
one_line_error "--out"
expect 3 "$critic" align --policy "$model" --critic coin --prompts prompts.jsonl --eval-share 0 --out none
one_line_error "0 kept back"
