#!/bin/sh
# critic train dpo on a tiny checkpoint: the references agree, a killed run goes on to the same bytes, faults in one line.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
model=$tiny/ov-lmms
pictures=$CRITIC_SOURCE_DIR/tests/golden/images

for i in 1 2; do
    for p in 94x235.png 1x1.png palette.png rgba.png; do
        printf '{"id":"%s-%s","image":"%s","prompt":"What is %s?","chosen":"It is %s.","rejected":"No idea at all."}\n' \
            "$p" $i $p $i $i
    done
done >"$tmp/pairs.jsonl"
printf '{"image":"nowhere.png","prompt":"What?","chosen":"It.","rejected":"Or."}\n' >>"$tmp/pairs.jsonl"

flags="--model $model --image-folder $pictures --quiet --batch 2 --seed 3 --dtype f32 --lr 1e-3 --threads 1"
short="$critic train dpo $flags --steps 2 --data $tmp/pairs.jsonl"
dpo="$critic train dpo $flags --steps 10 --save-every 2 --eval-split 0.5 --data $tmp/pairs.jsonl"
few="$critic train dpo $flags --steps 2 --data $tmp/few.jsonl"
# shellcheck disable=SC2086
{
    expect 0 $dpo --out "$tmp/once"
    contains "$(sed -n 1p "$tmp/once/metrics.jsonl")" '"loss": 0.693147'
    contains "$(sed -n 1p "$tmp/once/metrics.jsonl")" '"rewards/margins": 0'
    contains "$(cat "$tmp/once/metrics.jsonl")" '"eval_rewards/accuracies"'
    equal "$(wc -l <"$tmp/once/reference.jsonl")" 9
    page=$(cat "$tmp/once/report.html")
    for chart in Rewards "How pairs are told apart" "Log-probability of the answers" Divergence "Length of the answers"; do
        contains "$page" "\">$chart"
    done
    for curve in rewards/chosen rewards/rejected rewards/margins rewards/accuracies eval_rewards/accuracies kl logps/chosen \
        logps/rejected ref_logps/chosen tokens/chosen tokens/rejected; do
        contains "$page" "\"name\":\"$curve\""
    done

    # By a second model in memory, from a file made elsewhere: the same bytes.
    expect 0 $dpo --out "$tmp/live" --reference live
    expect 0 cmp "$tmp/once/model.safetensors" "$tmp/live/model.safetensors"
    expect 0 $dpo --out "$tmp/shared" --ref-logps "$tmp/once/reference.jsonl"
    expect 0 cmp "$tmp/once/model.safetensors" "$tmp/shared/model.safetensors"

    # Killed for good somewhere behind its first checkpoint, then gone on with: the same bytes.
    $dpo --out "$tmp/killed" &
    pid=$!
    wait_for "$tmp/killed/checkpoint-2"
    kill -9 $pid 2>/dev/null || fail "it ended before it was killed"
    wait $pid 2>/dev/null || true
    [ ! -f "$tmp/killed/model.safetensors" ] || fail "it was finished before it was killed"
    cp -r "$tmp/killed" "$tmp/full"
    expect 0 $dpo --out "$tmp/killed" --resume
    for file in model.safetensors reference.jsonl checkpoint-10/trainer.safetensors; do
        expect 0 cmp "$tmp/once/$file" "$tmp/killed/$file"
    done
    for run in once killed; do
        sed 's/"tokens_per_second": [^,]*, "seconds": [^,]*, //' "$tmp/$run/metrics.jsonl" >"$tmp/$run.lines"
    done
    expect 0 cmp "$tmp/once.lines" "$tmp/killed.lines"

    # A full disk, at the references, at the page and at a checkpoint: one line, what was there stays, and it goes on.
    expect 4 short_of_disk 1 $dpo --out "$tmp/small"
    one_line_error "small/reference.jsonl: cannot write"
    expect 4 short_of_disk 64 $dpo --out "$tmp/small" --resume
    one_line_error "small/report.html: cannot write"
    cp -r "$tmp/full/checkpoint-2" "$tmp/kept"
    expect 4 short_of_disk 1000 $dpo --out "$tmp/full" --resume
    one_line_error "/trainer.safetensors: cannot write"
    equal "$(cd "$tmp/full" && echo checkpoint-*)" checkpoint-2
    expect 0 diff -r "$tmp/kept" "$tmp/full/checkpoint-2"
    for run in small full; do
        expect 0 $dpo --out "$tmp/$run" --resume
        for file in model.safetensors reference.jsonl checkpoint-10/trainer.safetensors; do
            expect 0 cmp "$tmp/once/$file" "$tmp/$run/$file"
        done
    done

    # Interrupted as it trains: one line says where it stands and how to go on.
    $critic train dpo $flags --steps 1000 --data "$tmp/pairs.jsonl" --out "$tmp/int" 2>"$tmp/.err" &
    pid=$!
    wait_for "$tmp/int/reference.jsonl"
    kill -INT $pid
    got=0
    wait $pid || got=$?
    err=$(cat "$tmp/.err")
    equal "$got" 130
    one_line_error "holds it (--resume)"
    [ "$(cd "$tmp/int" && echo checkpoint-*)" != "checkpoint-*" ] || fail "no checkpoint: $err"

    # An adapter that begins at nothing: without it the policy is where it started.
    expect 0 $short --out "$tmp/lora" --lora r=4,alpha=8
    expect 0 $short --out "$tmp/off" --lora r=4,alpha=8 --reference adapter-off
    expect 0 cmp "$tmp/lora/adapter_model.safetensors" "$tmp/off/adapter_model.safetensors"
    expect 2 $dpo --out "$tmp/x" --reference adapter-off
    one_line_error "--lora"

    # In bf16 from an f32 checkpoint the second model rounds where the policy does: ln 2.
    expect 0 $short --out "$tmp/f32" --save-dtype f32
    for how in "--lora r=2" "--freeze decoder" ""; do
        rm -rf "$tmp/bf16"
        expect 0 "$critic" train dpo --model "$tmp/f32" --data "$tmp/pairs.jsonl" --image-folder "$pictures" --out "$tmp/bf16" \
            --dtype bf16 --steps 1 --reference live --quiet $how
        contains "$(cat "$tmp/bf16/metrics.jsonl")" '"loss": 0.693147'
    done

    # A file of another model or other data is refused.
    expect 3 $dpo --out "$tmp/x" --ref-model "$tmp/once" --ref-logps "$tmp/once/reference.jsonl"
    one_line_error "reference of the model"
    head -4 "$tmp/pairs.jsonl" >"$tmp/few.jsonl"
    expect 3 $few --out "$tmp/x" --ref-logps "$tmp/once/reference.jsonl"
    one_line_error "reference of the data"

    expect 2 $dpo --out "$tmp/x" --reference none --ref-model "$model"
    one_line_error "--ref-model"
    printf '{"prompt":"What?","chosen":"","rejected":"Or."}\n' >>"$tmp/few.jsonl"
    expect 3 $few --out "$tmp/x"
    contains "$err" "few.jsonl:5: 'chosen' is empty"
}
echo "train_dpo: all passed"
