#!/bin/sh
# The models that are compiled in: by name, from any folder, in every command; and the judge templates that
# a checkpoint names.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
cd "$tmp"

# ---- every command knows the names ---------------------------------------------------------------------------
expect 0 "$critic" inspect micro-base
contains "$out" "layout     GGUF"
contains "$out" "parameters 3568192"
expect 0 "$critic" convert micro-base "$tmp/base" --to safetensors-lmms
contains "$out" "found equal"
expect 0 "$critic" inspect "$tmp/base"
contains "$out" "parameters 3568192"
printf 'What colour is it?' >"$tmp/text"
expect 0 "$critic" tokenize --model micro-base <"$tmp/text"
ids=$out
expect 0 "$critic" tokenize --model "$tmp/base" <"$tmp/text"
equal "$out" "$ids"
# The picture shows what the models say it shows.
expect 0 "$critic" data world --out "$tmp/world" --split test --count 1 --seed 3 --quiet
picture=$tmp/world/test/images/0000/000000.png
expect 0 "$critic" generate --model micro-base --image "$picture" --prompt 'Describe the picture.' --quiet --threads 1
equal "$out" "$(sed -n 's/.*Describe the picture."},{"from":"gpt","value":"\([^"]*\)".*/\1/p' "$tmp/world/test/base.jsonl")"
expect 0 "$critic" generate --model micro-policy --image "$picture" --prompt 'Describe the picture.' --quiet --threads 1
[ -n "$out" ] || fail "micro-policy says nothing"
# A path of that name goes before it; a name that is none of them is no path either.
cp -r "$tiny/ov-lmms" "$tmp/micro-base"
expect 0 "$critic" inspect micro-base
lacks "$out" "GGUF"
rm -r "$tmp/micro-base"
expect 3 "$critic" inspect micro-judge
one_line_error "no such file or folder"

# Training starts from an embedded model as from its folder, and goes on from there.
sft="$critic train sft --model micro-policy --data $tmp/world/test/base.jsonl --image-folder $tmp/world --batch 1 --steps 2 --pack turns"
# shellcheck disable=SC2086
{
    expect 0 $sft --save-every 1 --out "$tmp/run" --dtype f32 --threads 1 --quiet
    [ -f "$tmp/run/micro-policy/config.json" ] || fail "nothing was unpacked"
    rm -r "$tmp/run/checkpoint-2" "$tmp/run/model.safetensors"
    cp "$tmp/run/checkpoint-1/model.safetensors" "$tmp/one"
    expect 0 $sft --save-every 1 --out "$tmp/run" --dtype f32 --threads 1 --quiet --resume
    expect 0 "$critic" generate --model "$tmp/run" --image "$picture" --prompt 'Describe the picture.' --quiet
    cmp "$tmp/run/model.safetensors" "$tmp/one" >"$tmp/.out" && fail "the second step changed nothing"
}

# Preference learning takes them too, also as reference; of a dump nothing but its file stays.
printf '{"image":"%s","prompt":"How many?","chosen":"three","rejected":"two"}\n' "$picture" >"$tmp/pairs.jsonl"
dpo="$critic train dpo --model micro-policy --data $tmp/pairs.jsonl --steps 1 --dtype f32 --threads 1 --quiet"
# shellcheck disable=SC2086
{
    expect 0 $dpo --out "$tmp/dpo" --ref-model micro-policy
    contains "$(cat "$tmp/dpo/metrics.jsonl")" '"loss": 0.693147'
    expect 0 $dpo --out "$tmp/dpo2" --ref-model micro-base
    lacks "$(cat "$tmp/dpo2/metrics.jsonl")" '"loss": 0.693147'
    mkdir "$tmp/dumped"
    expect 0 $dpo --dump-gradients "$tmp/dumped/g.safetensors" --ref-model micro-base
    equal "$(ls "$tmp/dumped")" g.safetensors
    expect 3 $dpo --out "$tmp/dpo3" --ref-model micro-nothing
    one_line_error "micro-nothing"
}

# ---- templates that a checkpoint names ---------------------------------------------------------------------------
template() { # FLAGS…: the template that a judgement by $tmp/named used
    expect 0 "$critic" judge --model "$named" --threads 1 --question 'How many?' --answer two --json "$@"
    printf '%s' "$out" | sed 's/.*"template":"\([^"]*\)".*/\1/'
}
set --
for name in pair-01-reason pair-01-only score-100-1-reason score-100-1-only score-10-reason score-5-only; do
    set -- "$@" --judge-template "micro-$name"
done
expect 0 "$critic" convert micro-base "$tmp/named" --to safetensors-lmms "$@"
contains "$(cat "$tmp/named/config.json")" '"critic_templates": ["micro-pair-01-reason","micro-pair-01-only",'
expect 0 "$critic" convert "$tmp/named" "$tmp/named.gguf" --to gguf
expect 0 "$critic" convert "$tmp/named.gguf" "$tmp/again" --to safetensors-lmms
contains "$(cat "$tmp/again/config.json")" '"micro-score-10-reason","micro-score-5-only"]'
expect 0 "$critic" inspect "$tmp/named.gguf"
contains "$out" "templates  micro-pair-01-reason, micro-pair-01-only, "
for named in "$tmp/named" "$tmp/named.gguf"; do
    equal "$(template --verdict-only)" micro-score-100-1-only
    equal "$(template --verdict-only --scale 1-10)" micro-score-10-reason
    equal "$(template --verdict-only --scale 1-5)" micro-score-5-only
    equal "$(template --verdict-only --scale 1-7)" micro-score-100-1-only
    equal "$(template --verdict-only --answer three)" micro-pair-01-only
    equal "$(template --verdict-only --answer three --answer four)" micro-pair-01-only
    equal "$(template --verdict-only --template pairwise --answer one)" pairwise
done
# With a reason: whatever micro-base writes, the prompt is the one for reasons.
got=0
"$critic" judge --model "$tmp/named" --threads 1 --question 'How many?' --answer two --json >"$tmp/.out" || got=$?
[ "$got" -le 1 ] || fail "exit status $got"
contains "$(cat "$tmp/.out")" '"template":"micro-score-100-1-reason"'
expect 2 "$critic" convert micro-base "$tmp/x" --to safetensors-lmms --judge-template no-such
one_line_error "no-such"
sed 's/micro-pair-01-only/micro-pair-99/' "$tmp/named/config.json" >"$tmp/again/config.json"
expect 2 "$critic" judge --model "$tmp/again" --question Q --answer A --verdict-only
one_line_error "the checkpoint names its templates: template 'micro-pair-99'"
expect 0 "$critic" judge --list-templates
contains "$out" "micro-pair-01-reason"
