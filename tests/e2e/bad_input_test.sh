#!/bin/sh
# Broken checkpoints, pictures and prompts: one line that names the file and what is wrong, status 3.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
LC_ALL=C
export LC_ALL
images=$CRITIC_SOURCE_DIR/tests/golden/images
picture=$images/cat-wide.jpg
model=$tiny/ov-lmms

copy() { # LAYOUT: a checkpoint to break, in $tmp/m
    rm -rf "$tmp/m"
    cp -r "$tiny/$1" "$tmp/m"
    chmod -R u+w "$tmp/m"
}
refuses() { # MESSAGE…: said in one line
    expect 3 "$critic" generate --prompt Hi --max-new-tokens 1 --model "$tmp/m"
    for part in "$@"; do
        one_line_error "$part"
    done
}

# ---- tensors -------------------------------------------------------------------------------------------
copy ov-lmms
sed -i 's/model\.image_newline/model.image_newlime/' "$tmp/m/model.safetensors"
refuses "tensor 'image_newline' is missing"
copy ov-hf-old
sed -i 's/"dtype":"F16"/"dtype":"I16"/' "$tmp/m/model.safetensors"
refuses "has dtype I16; expected F32, F16"
copy ov-lmms
head -c 200000 "$tiny/ov-lmms/model.safetensors" >"$tmp/m/model.safetensors"
refuses "model.safetensors" "truncated"
copy ov-lmms
sed -i 's/"num_hidden_layers": 3,/"num_hidden_layers": 4,/' "$tmp/m/config.json"
refuses "layers.3."
copy ov-lmms
sed -i 's/"intermediate_size": 68/"intermediate_size": 67/' "$tmp/m/config.json"
refuses "found shape (68, 40), expected (67, 40)"
copy ov-lmms-sharded
rm "$tmp/m/model-00002-of-00002.safetensors"
refuses "model.safetensors.index.json" "the shard 'model-00002-of-00002.safetensors' is not there"
copy ov-lmms-sharded
cp "$tmp/m/model-00001-of-00002.safetensors" "$tmp/m/model-00002-of-00002.safetensors"
refuses "is not in its shard"
copy ov-lmms
rm "$tmp/m/model.safetensors"
refuses "expected model.safetensors"

# ---- configurations ----------------------------------------------------------------------------------------
copy ov-lmms
sed -i 's/"mm_projector_type": "mlp2x_gelu"/"mm_projector_type": "linear"/' "$tmp/m/config.json"
refuses "config.json" "'mm_projector_type' is linear"
copy ov-lmms
sed -i 's/"hidden_size": 40,//' "$tmp/m/config.json"
refuses "config.json" "no 'hidden_size'"
copy ov-lmms
sed -i 's/"rms_norm_eps": 1e-06/"rms_norm_eps": null/' "$tmp/m/config.json"
refuses "config.json" "'rms_norm_eps' is null"
# llava-hf's writers leave out what equals a default: what does not fit is put down to that.
copy ov-hf-old
sed -i '0,/"num_hidden_layers": 3,/s///' "$tmp/m/config.json"
refuses "config.json: no text_config.num_hidden_layers, and transformers' default does not fit" \
    "layers.3.input_layernorm.weight' is missing"
copy ov-lmms
head -c 100000 /dev/zero | tr '\0' '[' >"$tmp/m/config.json"
refuses "config.json:1:"
copy ov-lmms
rm "$tmp/m/config.json"
refuses "no config.json"
copy ov-lmms
echo '{"model": 3}' >"$tmp/m/tokenizer.json"
refuses "/tokenizer.json: "
copy ov-lmms
rm "$tmp/m/tokenizer.json"
refuses "no tokenizer; expected tokenizer.json"

# ---- GGUF ----------------------------------------------------------------------------------------------------
rm -rf "$tmp/m"
mkdir "$tmp/m"
printf 'GGUF\3\0\0\0\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377' >"$tmp/m/x.gguf"
refuses "x.gguf" "18446744073709551615 tensors cannot lie in"
head -c 60000 "$tiny/ov-text.gguf" >"$tmp/m/x.gguf"
refuses "x.gguf" "truncated"
expect 3 "$critic" inspect "$tmp/m/none.gguf"
one_line_error "none.gguf: no such file"

# ---- pictures --------------------------------------------------------------------------------------------------
bad_picture() { # FILE MESSAGE
    expect 3 "$critic" generate --model "$model" --prompt Hi --image "$1" --max-new-tokens 1
    one_line_error "$(basename "$1")"
    one_line_error "$2"
}
echo 'this is no picture' >"$tmp/text.jpg"
bad_picture "$tmp/text.jpg" "JPEG, PNG"
: >"$tmp/empty.png"
bad_picture "$tmp/empty.png" "empty"
for file in cat-wide.jpg rgba.png coffee-lossy.webp; do
    head -c $(($(wc -c <"$images/$file") / 2)) "$images/$file" >"$tmp/cut-$file"
    bad_picture "$tmp/cut-$file" ""
done
bad_picture "$CRITIC_SOURCE_DIR/tests/fuzz/corpus/fuzz_image/bomb.png" "pixels"
bad_picture "$tmp" ""
expect 3 "$critic" generate --model "$model" --prompt Hi --image 'https://example.org/cat.jpg'
one_line_error "not fetched from the network"

# ---- prompts -----------------------------------------------------------------------------------------------------
printf 'ab\377' >"$tmp/bad.txt"
expect 3 "$critic" generate --model "$model" --prompt-file "$tmp/bad.txt"
one_line_error "byte 2"
expect 3 "$critic" generate --model "$model" --prompt Hi --context 8
one_line_error "8"
expect 3 "$critic" generate --model "$tiny/ov-text.gguf" --prompt Hi --image "$picture"
one_line_error
expect 3 "$critic" generate --model "$model" --prompt-file "$tmp/none.txt"
one_line_error "none.txt"

# ---- outputs that are inputs -------------------------------------------------------------------------------------
item='{"id":"a","question":"Q","prompt":"Q","responses":["A"]}'
for command in judge generate; do
    printf '%s\n' "$item" >"$tmp/in.jsonl"
    for how in "" --force --resume; do
        # shellcheck disable=SC2086
        expect 2 "$critic" "$command" --model "$model" --input "$tmp/in.jsonl" --output "$tmp/in.jsonl" $how
        one_line_error "in.jsonl: is the input as well"
        equal "$(cat "$tmp/in.jsonl")" "$item"
    done
    # A missing input leaves what is there.
    expect 3 "$critic" "$command" --model "$model" --input "$tmp/none.jsonl" --output "$tmp/in.jsonl" --force
    one_line_error "none.jsonl"
    equal "$(cat "$tmp/in.jsonl")" "$item"
done
cp "$picture" "$tmp/cat.jpg"
expect 2 "$critic" forward --model "$model" --prompt Hi --image "$tmp/cat.jpg" --dump "$tmp/cat.jpg"
one_line_error "cat.jpg: is the input as well"
cmp "$picture" "$tmp/cat.jpg"

cp "$tiny/ov-text.gguf" "$tmp/text.gguf"
expect 2 "$critic" convert "$tmp/text.gguf" "$tmp/text.gguf" --to gguf --dtype q4_0
one_line_error "text.gguf: is the input as well"
cmp "$tiny/ov-text.gguf" "$tmp/text.gguf"

mkdir "$tmp/full"
echo text >"$tmp/full/file"
expect 4 "$critic" convert "$model" "$tmp/full" --to safetensors-hf
one_line_error "full: cannot make the folder: it is there and not empty"
expect 4 "$critic" convert "$model" "$tmp/cat.jpg" --to safetensors-hf
one_line_error "a file of that name is there"

# ---- usage -------------------------------------------------------------------------------------------------------
for line in "" "nonsense" "judge --nonsense" "judge" "generate --model" "generate --model $model" \
    "forward --model $model --prompt Hi" "tokenize --threads x" "judge --model $model --question Q" \
    "generate --model $model --prompt Hi --isa mmx" "generate --model $model --prompt Hi --top-p 2"; do
    # shellcheck disable=SC2086
    expect 2 "$critic" $line
    equal "$out" ""
done

# ---- wrong uses --------------------------------------------------------------------------------------------
wrong() { # STATUS MESSAGE ARGUMENT…
    status=$1 message=$2
    shift 2
    expect "$status" "$critic" "$@"
    one_line_error "$message"
}
cd "$tmp"
wrong 2 "no command given; 'critic --help' lists them"
for group in data eval train; do
    wrong 2 "no command given; 'critic $group --help' lists them" $group
    wrong 2 "unknown command '$group xyzzy'; 'critic $group --help' lists them" $group xyzzy
    wrong 2 "unknown command '$group xyzzy'" $group xyzzy --help
    expect 0 "$critic" help $group
    contains "$out" "usage: critic $group"
done
wrong 2 "unknown command 'train towr'; did you mean 'train tower'?" train towr
expect 0 "$critic" help eval score mme
contains "$out" "usage: critic eval score mme"
expect 0 "$critic" eval score --help
contains "$out" "score mmbench"
wrong 3 "absent: no such file or folder" eval score mme --predictions absent
wrong 3 "the text has 1 token; expected at least 2" perplexity -m "$model" --text x

# An input that is an output stays as it was.
echo '{"id":"a","prompt":"Hi"}' >in.jsonl
cp in.jsonl in.samples.jsonl
cp in.jsonl kept
prefer="prefer --policy $model --critic coin"
wrong 2 "in.jsonl: is the input as well" $prefer --prompts in.jsonl --out in.jsonl --force
wrong 2 "in.samples.jsonl: is the input as well" $prefer --prompts in.samples.jsonl --out in.jsonl --force
wrong 2 "in.samples.jsonl: is the input as well" $prefer --prompts in.jsonl --scenes in.samples.jsonl --out in.samples.jsonl --force
cp "$tiny/ov-text.gguf" policy.gguf
wrong 2 "policy.gguf: is the input as well" prefer --critic coin --policy policy.gguf --prompts in.jsonl --out policy.gguf --force
wrong 2 "policy.gguf: is the input as well" prefer --critic policy.gguf --policy "$model" --prompts in.jsonl --out policy.gguf --force
wrong 2 "in.jsonl: is the input as well" data convert in.jsonl --to messages --out in.jsonl
wrong 2 "in.jsonl: is the input as well" data prompts in.jsonl --out in.jsonl --force
wrong 2 "in.jsonl: is the input as well" data stats in.jsonl --sheet in.jsonl
wrong 2 "in.jsonl: is the input as well" eval merge in.jsonl --output in.jsonl
for flag in report csv markdown; do
    wrong 2 "in.jsonl: is the input as well" eval compare in.jsonl in.samples.jsonl --$flag in.jsonl
done
wrong 2 "in.jsonl: is the input as well" perplexity -m "$model" --text "a b" --against in.jsonl --save in.jsonl
wrong 2 "in.jsonl: is the input as well" perplexity -m "$model" --text-file in.jsonl --save in.jsonl
for kind in pope mmbench; do
    wrong 2 "in.jsonl: is the input as well" eval score $kind --predictions in.jsonl --report in.jsonl
done
wrong 2 "in.jsonl: is the input as well" eval score pope --predictions in.samples.jsonl --labels in.jsonl --report in.jsonl
mkdir -p answers
cp in.jsonl answers/OCR.txt
wrong 2 "answers/OCR.txt: is the input as well" eval score mme --predictions answers --report answers/OCR.txt
# The twin of a page, too.
cp in.jsonl twin.json
wrong 2 "twin.json: is the input as well" eval score pope --predictions twin.json --report twin.html
cmp in.jsonl kept && cmp in.samples.jsonl kept && cmp answers/OCR.txt kept && cmp twin.json kept || fail "an input was written over"

# A judge that is not there is told before the sampling.
wrong 3 "absent: no such file or folder" prefer --policy "$model" --critic absent --prompts in.jsonl --out o.jsonl
wrong 3 "absent: no such file" prefer --policy "$model" --critic oracle --scenes absent --prompts in.jsonl --out o.jsonl
[ ! -e o.samples.jsonl ] || fail "sampled for a judge that is not there"

# One bad record is one line.
echo '{"conversations":[]}' >bad.jsonl
wrong 3 "bad.jsonl:1: " train sft -m "$model" --data bad.jsonl --out run
