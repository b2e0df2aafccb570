#!/bin/sh
# critic train on a tiny checkpoint: runs, stops, goes on to the same bytes, fails in one line.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
model=$tiny/ov-lmms
pictures=$CRITIC_SOURCE_DIR/tests/golden/images

for i in 1 2 3 4 5 6; do
    for p in 94x235.png 1x1.png; do
        printf '{"id":"%s-%s","image":"%s","conversations":[{"from":"human","value":"<image>\\nWhat is %s?"},{"from":"gpt","value":"It is %s."}]}\n' \
            "$p" $i $p $i $i
    done
    printf '{"conversations":[{"from":"human","value":"Add %s and 1."},{"from":"gpt","value":"The sum."}]}\n' $i
done >"$tmp/data.jsonl"
for p in 94x235.png 1x1.png palette.png rgba.png; do
    printf '{"image":"%s","grid":[2,2],"labels":{"shape":[0,1,2,1],"dark":[1,0,0,1]}}\n' $p
done >"$tmp/labels.jsonl"

sft="$critic train sft --model $model --data $tmp/data.jsonl --image-folder $pictures --quiet --batch 2 --seed 3 --dtype f32"
# shellcheck disable=SC2086
{
    expect 0 $sft --steps 6 --lr 1e-3 --pack turns --optimizer muon --save-every 2 --out "$tmp/whole"
    expect 0 "$critic" generate --model "$tmp/whole" --image "$pictures/1x1.png" --prompt 'What is 1?' --max-new-tokens 4 --quiet
    expect 0 "$critic" inspect "$tmp/whole/checkpoint-6" --quiet
    equal "$(ls "$tmp/whole" | grep -c checkpoint-)" 2
    equal "$(grep -c '"loss"' "$tmp/whole/metrics.jsonl")" 6
    contains "$(cat "$tmp/whole/report.html")" "<title>"

    # Killed and resumed, stopped by a signal and resumed: the bytes of a run that was left alone.
    $sft --steps 6 --lr 1e-3 --pack turns --optimizer muon --save-every 2 --out "$tmp/broken" &
    pid=$!
    wait_for "$tmp/broken/checkpoint-2"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    rm -rf "$tmp/broken/checkpoint-6" "$tmp/broken/model.safetensors"
    mkdir "$tmp/broken/checkpoint-4.tmp-99"
    : >"$tmp/broken/report.html.tmp-99"
    expect 0 $sft --steps 6 --lr 1e-3 --pack turns --optimizer muon --save-every 2 --out "$tmp/broken" --resume
    expect 0 cmp "$tmp/whole/model.safetensors" "$tmp/broken/model.safetensors"
    expect 0 cmp "$tmp/whole/checkpoint-6/trainer.safetensors" "$tmp/broken/checkpoint-6/trainer.safetensors"
    [ ! -e "$tmp/broken/report.html.tmp-99" ] && [ ! -d "$tmp/broken/checkpoint-4.tmp-99" ] || fail "the leftover of a killed writer is still there"
    equal "$(cut -d, -f1-5 "$tmp/broken/metrics.jsonl")" "$(cut -d, -f1-5 "$tmp/whole/metrics.jsonl")"
    expect 0 $sft --steps 6 --lr 1e-3 --pack turns --optimizer muon --save-every 2 --out "$tmp/threads" --threads 1
    expect 0 cmp "$tmp/whole/model.safetensors" "$tmp/threads/model.safetensors"

    # A full disk: the last checkpoint stays and the run says so.
    (
        trap '' XFSZ
        ulimit -f 64
        got=0
        $sft --steps 6 --lr 1e-3 --save-every 3 --out "$tmp/full" 2>"$tmp/full.err" || got=$?
        [ $got -eq 4 ]
    ) || fail "no status 4 on a full disk: $(cat "$tmp/full.err")"
    contains "$(cat "$tmp/full.err")" "cannot write"
    [ ! -d "$tmp/full/checkpoint-3" ] || fail "half a checkpoint under its name"

    # A run is not overwritten, and goes on only as it was.
    expect 2 $sft --steps 6 --lr 1e-3 --out "$tmp/whole"
    one_line_error "--resume"
    expect 3 $sft --steps 6 --lr 1e-3 --pack turns --optimizer muon --out "$tmp/whole" --resume --clip 2
    one_line_error "--clip"
    expect 2 $sft --steps 6 --lr 1e-3 --out "$tmp/x" --freeze nose
    one_line_error "tower, projector or decoder"
    expect 0 $sft --steps 6 --lr 1e-3 --out "$tmp/frozen" --freeze tower --freeze decoder --eval-split 0.3 --accumulate 2
    contains "$(cat "$tmp/frozen/metrics.jsonl")" '"eval_loss"'
    contains "$(cat "$tmp/frozen/metrics.jsonl")" '"grad_norm_decoder": 0,'

    # Averaged weights: resumed with the run, a model of their own that is not the last one.
    expect 0 $sft --steps 6 --lr 1e-3 --ema 0.9 --save-every 2 --out "$tmp/ema"
    expect 0 cmp "$tmp/ema/ema/config.json" "$model/config.json"
    got=0
    cmp -s "$tmp/ema/ema/model.safetensors" "$tmp/ema/model.safetensors" || got=$?
    equal $got 1
    cp -r "$tmp/ema" "$tmp/ema-again"
    rm -r "$tmp/ema-again/checkpoint-6" "$tmp/ema-again/ema"
    expect 0 $sft --steps 6 --lr 1e-3 --ema 0.9 --save-every 2 --out "$tmp/ema-again" --resume
    expect 0 cmp "$tmp/ema/ema/model.safetensors" "$tmp/ema-again/ema/model.safetensors"

    # The saved model names the templates that it was tuned on.
    expect 0 $sft --steps 1 --lr 1e-3 --out "$tmp/named" --judge-template micro-pair-01-reason --judge-template micro-score-5-only
    expect 0 "$critic" inspect "$tmp/named" --quiet
    contains "$out" "micro-pair-01-reason, micro-score-5-only"
    expect 0 "$critic" inspect "$tmp/named/checkpoint-1" --quiet
    contains "$out" "micro-pair-01-reason"
    expect 2 $sft --steps 1 --out "$tmp/x" --judge-template nosuch
    one_line_error "nosuch"

    # A loss that is not finite: step, samples, operation or weight.
    expect 3 $sft --lr 1000 --weight-decay 10 --warmup 0 --schedule constant --steps 60 --out "$tmp/nan"
    one_line_error "first not finite: "
    contains "$err" "data.jsonl"

    # Bad data is told with file and line before the first step.
    printf '{"conversations":[]}\n{"image":"nowhere.png","conversations":[{"from":"human","value":"<image>"},{"from":"gpt","value":"x"}]}\n' >>"$tmp/data.jsonl"
    expect 3 $sft --steps 6 --lr 1e-3 --out "$tmp/bad"
    contains "$err" "data.jsonl:19:"
    expect 0 $sft --steps 6 --lr 1e-3 --out "$tmp/skipped" --skip-bad
}

# An adapter: only it is written, resumed to the same bytes, gone on with, merged.
adapter="$critic train sft --model $model --data $tmp/data.jsonl --image-folder $pictures --skip-bad --quiet --batch 2 --steps 4 --dtype f32"
# shellcheck disable=SC2086
{
    expect 0 $adapter --lr 1e-2 --lora r=4,alpha=8,dropout=0.25 --out "$tmp/lora" --save-every 2 --eval-split 0.3 --eval-every 1
    [ ! -e "$tmp/lora/model.safetensors" ] || fail "an adapter's run wrote a whole model"
    contains "$(cat "$tmp/lora/checkpoint-4/adapter_config.json")" '"lora_alpha": 8.0'
    contains "$(head -c 2000 "$tmp/lora/adapter_model.safetensors" | tr -d '\0')" 'base_model.model.model.layers.0.mlp.down_proj.lora_A.weight'
    cp -r "$tmp/lora" "$tmp/again"
    rm -r "$tmp/again/checkpoint-4" "$tmp/again/adapter_model.safetensors"
    expect 0 $adapter --lr 1e-2 --lora r=4,alpha=8,dropout=0.25 --out "$tmp/again" --save-every 2 --eval-split 0.3 --eval-every 1 --resume
    expect 0 cmp "$tmp/lora/adapter_model.safetensors" "$tmp/again/adapter_model.safetensors"
    expect 0 $adapter --lora "$tmp/lora" --lr 0 --out "$tmp/still"
    expect 0 cmp "$tmp/lora/adapter_model.safetensors" "$tmp/still/adapter_model.safetensors"
    expect 0 "$critic" convert "$model" "$tmp/merged" --to safetensors-lmms --dtype f32 --merge-lora "$tmp/lora" --quiet
    for m in "--model $model --lora $tmp/lora" "--model $tmp/merged"; do
        expect 0 "$critic" train sft $m --data "$tmp/data.jsonl" --image-folder "$pictures" --skip-bad --dtype f32 \
            --dump-gradients "$tmp/g.safetensors" --json
        printf '%s\n' "$out" | sed 's/.*"loss": *\([0-9.]*\).*/\1/' | cut -c1-6 >>"$tmp/losses"
    done
    equal "$(sort -u "$tmp/losses" | wc -l)" 1
    expect 3 $adapter --lr 1e-2 --lora r=4,alpha=9,dropout=0.25 --out "$tmp/lora" --save-every 2 --eval-split 0.3 --eval-every 1 --resume
    one_line_error "--lora"
    expect 2 $adapter --lora r=4,targets=nose --out "$tmp/x"
    one_line_error "'nose'"
    expect 2 $adapter --lora r=4,beta=3 --out "$tmp/x"
    one_line_error "unknown key"
    expect 2 $adapter --lora r=4 --freeze tower --out "$tmp/x"
    one_line_error "--freeze"
}

# Through frozen 8-bit weights (Q8_0): the bytes of an adapter trained through the same numbers in f32.
eight=$CRITIC_SOURCE_DIR/assets/micro/micro-base.gguf
expect 0 "$critic" convert "$eight" "$tmp/plain" --to safetensors-lmms --dtype f32 --quiet
head -n 3 "$tmp/data.jsonl" >"$tmp/few.jsonl"
few="--data $tmp/few.jsonl --image-folder $pictures --quiet --batch 2 --steps 2 --lr 1e-2"
# shellcheck disable=SC2086
{
    for m in "$eight" "$tmp/plain"; do
        expect 0 "$critic" train sft --model "$m" $few --dtype f32 --lora r=4,targets=decoder+projector+tower --out "$tmp/on-$(basename "$m")"
    done
    expect 0 cmp "$tmp/on-micro-base.gguf/adapter_model.safetensors" "$tmp/on-plain/adapter_model.safetensors"
    expect 0 "$critic" train sft --model "$eight" $few --dtype bf16 --lora "$tmp/on-plain" --out "$tmp/in-bf16"
    expect 0 "$critic" convert "$eight" "$tmp/tuned" --to safetensors-lmms --dtype f32 --merge-lora "$tmp/in-bf16" --quiet
    expect 3 "$critic" train sft --model "$eight" $few --out "$tmp/x"
    one_line_error "--lora"
}

# Gradients of the whole file, whatever the packing.
expect 0 "$critic" train sft --model "$model" --data "$tmp/data.jsonl" --image-folder "$pictures" --skip-bad \
    --dtype f32 --dump-gradients "$tmp/g.safetensors" --json
contains "$out" '"loss":'

# Stage 0 from nothing, then text on top of it with the labels beside.
mkdir "$tmp/init"
cp "$model/config.json" "$model/tokenizer.json" "$tmp/init"
expect 0 "$critic" train tower --init "$tmp/init" --data "$tmp/labels.jsonl" --image-folder "$pictures" --out "$tmp/tower" \
    --steps 8 --batch 2 --lr 1e-2 --quiet
contains "$(cat "$tmp/tower/metrics.jsonl")" '"shape":'
contains "$(head -c 20000 "$tmp/tower/model.safetensors" | tr -d '\0')" "post_layernorm"
[ -f "$tmp/tower/label_heads.safetensors" ] || fail "no label heads"
expect 0 "$critic" train sft --model "$tmp/tower" --data "$tmp/data.jsonl" --image-folder "$pictures" --skip-bad --quiet \
    --pack turns --loss-on answers --aux-labels "$tmp/labels.jsonl" --steps 2 --batch 4 --out "$tmp/both"
contains "$(cat "$tmp/both/metrics.jsonl")" '"label_loss":'

# Plain anyres, trained from nothing, in transformers' layout.
sed -i 's/"anyres_max_9"/"anyres"/' "$tmp/both/config.json"
contains "$(cat "$tmp/both/config.json")" '"anyres"'
expect 0 "$critic" convert "$tmp/both" "$tmp/hf" --to safetensors-hf --quiet
contains "$(cat "$tmp/hf/config.json")" '"anyres_max_36"'
contains "$(head -c 20000 "$tmp/hf/model.safetensors" | tr -d '\0')" "post_layernorm.bias"
