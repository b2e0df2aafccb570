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
contains "$err" "prompt 'gone': nowhere.jpg: cannot open"
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
wait_for broken/round-1/policy
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
run 2 whole --rounds 2 --resume --judge-tokens 7
one_line_error "was begun with judge-tokens 1024; now it is 7"
run 2 whole --rounds 2 --resume --verdict-only
one_line_error "was begun with verdict-only false; now it is true"
run 2 whole --rounds 2 --resume --kv-dtype bf16
one_line_error 'was begun with kv-dtype "auto"; now it is "bf16"'

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
# Another policy than the run began with.
expect 2 "$critic" align --policy lora/round-1/policy --critic longer --prompts prompts.jsonl --eval-prompts eval.jsonl \
    --out whole -n 3 --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --dtype f32 --rounds 4 --resume --quiet \
    -- --lr 1e-3 --batch 2 --steps 3
one_line_error "not the policy of round 0"
expect 2 "$critic" align --policy "$model" --critic longer --prompts prompts.jsonl --eval-prompts prompts.jsonl --out lora2 -n 3 \
    --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --quiet -- --lora lora/round-1/adapter
one_line_error "every round trains a new adapter"

# A full disk, at the state, at the page and at a checkpoint: one line, and in the end the same bytes.
full() { # BLOCKS MESSAGE
    expect 4 short_of_disk "$1" "$critic" align --policy "$model" --critic longer --prompts prompts.jsonl --eval-prompts eval.jsonl \
        --out full -n 3 --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --dtype f32 --rounds 2 --resume --quiet \
        -- --lr 1e-3 --batch 2 --steps 3
    one_line_error "$2"
}
full 4 "full/state.sqlite: "
full 64 "stopped in round 0, stage report; --resume goes on: full/report.html: cannot write"
full 1000 "/trainer.safetensors: cannot write"
run 1 full --rounds 2 --resume --quiet
while read -r file; do
    cmp "elsewhere/run/$file" "full/$file" || fail "$file differs"
done <files

# An endpoint that dies while it judges pairs, then while it judges the evaluation.
if command -v python3 >/dev/null; then
    remote() { # STATUS OUT
        expect "$1" "$critic" align --policy "$model" --critic "$url" --endpoint-model m --tries 1 --prompts prompts.jsonl \
            --eval-prompts eval.jsonl --out "$2" -n 3 --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --dtype f32 \
            --rounds 1 --resume --quiet -- --lr 1e-3 --batch 2 --steps 3
    }
    dying_judge 20
    remote 4 dead
    one_line_error "stopped in round 1, stage judge; --resume goes on: gave up after 1 tries: $url"
    wait $judge_pid
    dying_judge 32 # the other five prompts, and one of the three to compare
    remote 4 dead
    one_line_error "stopped in round 1, stage verdicts; --resume goes on: gave up after 1 tries: $url"
    wait $judge_pid
    dying_judge 100000
    remote 1 dead
    remote 1 alive
    for file in rounds.jsonl round-1/pairs.ledger.jsonl round-1/policy/model.safetensors round-1/eval.jsonl; do
        cmp dead/$file alive/$file || fail "$file differs"
    done
    kill $judge_pid
fi

# The trainer's own words where its flags are wrong; the run can be gone on with.
expect 2 "$critic" align --policy "$model" --critic coin --prompts prompts.jsonl --eval-prompts eval.jsonl --out bad -n 3 \
    --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --quiet -- --lrr 1e-3
one_line_error "--lrr"
[ ! -d bad ] || fail "a run was begun with flags that its trainer does not take"
late() { # STATUS FLAG…: of the training
    status=$1
    shift
    expect "$status" "$critic" align --policy "$model" --critic longer --prompts prompts.jsonl --eval-prompts prompts.jsonl --out late -n 3 \
        --max-new-tokens 6 --keep-truncated --context 600 --threads 1 --rounds 1 --quiet --resume -- --steps 1 "$@"
}
for wrong in "--out x" "--init x" "--dump-gradients x" "--freeze nothing" "--lr-vector 1e-3"; do
    # shellcheck disable=SC2086
    late 2 $wrong
    one_line_error "${wrong%% *}"
    [ ! -d late ] || fail "a run was begun with $wrong"
done
late 2 --label-smoothing 0.1 --loss ipo
one_line_error "this loss has no label smoothing"
late 3 --max-tokens 1 # as can only be known with the data there
late 0 --max-tokens 600
late 2 --max-tokens 500
one_line_error 'was begun with train-flags'
expect 2 "$critic" align --policy "$model" --critic coin --prompts prompts.jsonl
one_line_error "--out"
expect 3 "$critic" align --policy "$model" --critic coin --prompts prompts.jsonl --eval-share 0 --out none
one_line_error "0 kept back"
