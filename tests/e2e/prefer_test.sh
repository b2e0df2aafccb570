#!/bin/sh
# critic prefer on the tiny checkpoints: three stages, resumed at any point, every format.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
model=$tiny/ov-lmms
cp "$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg" "$tmp/cat.jpg"
cat >"$tmp/prompts.jsonl" <<'JSON'
{"id": "a", "images": ["cat.jpg"], "prompt": "Which animal?"}
{"id": 7, "image": "nowhere.jpg", "question": "What is it?"}
{"image": "cat.jpg", "conversations": [{"from": "human", "value": "<image>\nFirst?"}, {"from": "gpt", "value": "x"}, {"from": "human", "value": "Last?"}]}
JSON
run() { # STATUS [FLAG…]
    status=$1
    shift
    expect "$status" "$critic" prefer --policy "$model" --critic "$model" --prompts "$tmp/prompts.jsonl" \
        --out "$tmp/pairs.jsonl" -n 3 --max-new-tokens 6 --keep-truncated --threads 1 --context 600 "$@"
}

# ---- a run, its files, and the fault that it counts ------------------------------------------
run 1
contains "$out" "2 pairs of 3 prompts; 0 prompts without a pair (0 ties), 1 failed"
contains "$err" "times fewer"
contains "$err" "prompt '7': $tmp/nowhere.jpg: cannot open"
equal "$(wc -l <"$tmp/pairs.jsonl")" 2
equal "$(wc -l <"$tmp/pairs.ledger.jsonl")" 3
contains "$(sed -n 1p "$tmp/pairs.jsonl")" '{"id":"a","image":"cat.jpg","prompt":"Which animal?","chosen":"'
contains "$(sed -n 2p "$tmp/pairs.jsonl")" '{"id":"3","image":"cat.jpg","prompt":"Last?"'
contains "$(sed -n 2p "$tmp/pairs.ledger.jsonl")" 'nowhere.jpg: cannot open'
contains "$(sed -n 1p "$tmp/pairs.ledger.jsonl")" '"judge_usage":{"prompts":6,'
for f in pairs.jsonl pairs.samples.jsonl pairs.ledger.jsonl; do cp "$tmp/$f" "$tmp/whole.$f"; done

# ---- nothing is written over unasked; a torn line is done again; the end is the same to the byte
run 2
one_line_error "pairs.jsonl: holds results already"
rm "$tmp/pairs.samples.jsonl" "$tmp/pairs.ledger.jsonl" # somebody else's file, as far as can be told
run 2
one_line_error "pairs.jsonl: holds results already"
for f in pairs.samples.jsonl pairs.ledger.jsonl; do cp "$tmp/whole.$f" "$tmp/$f"; done
run 2 --resume --force
one_line_error "--resume and --force exclude each other"
for torn in samples ledger; do
    { head -n 1 "$tmp/whole.pairs.$torn.jsonl"; printf '{"id":"7","sta'; } >"$tmp/pairs.$torn.jsonl"
    rm "$tmp/pairs.jsonl"
    run 1 --resume
    contains "$err" "(1 were there)"
    cmp "$tmp/pairs.samples.jsonl" "$tmp/whole.pairs.samples.jsonl" || fail "samples differ"
    cmp "$tmp/pairs.ledger.jsonl" "$tmp/whole.pairs.ledger.jsonl" || fail "ledgers differ"
    cmp "$tmp/pairs.jsonl" "$tmp/whole.pairs.jsonl" || fail "pairs differ"
done
run 2 --resume --seed 1
one_line_error "written with seed 0"
run 2 --resume --quiet --reward win
one_line_error "reward_kind"

run 2 --resume --quiet --with-reasons
one_line_error "verdict_only true; this run has false"
run 2 --resume --quiet --one-order
one_line_error "both_orders true; this run has false"
run 2 --force --with-reasons --verdict-only
one_line_error "exclude each other"

# ---- prompts that failed are tried again, and stand where they would have ---------------------------
head -c 300 "$tmp/cat.jpg" >"$tmp/nowhere.jpg"
run 1 --resume
contains "$err" "prompt '7': $tmp/nowhere.jpg: the JPEG ends early"
contains "$(sed -n 2p "$tmp/pairs.ledger.jsonl")" 'ends early'
equal "$(wc -l <"$tmp/pairs.ledger.jsonl")" 3
cp "$tmp/cat.jpg" "$tmp/nowhere.jpg"
run 0 --resume
contains "$err" "judged: 3 of 3 prompts (2 were there), 0 failed"
for f in pairs.jsonl pairs.samples.jsonl pairs.ledger.jsonl; do cp "$tmp/$f" "$tmp/mended.$f"; done
run 0 --force
for f in pairs.jsonl pairs.samples.jsonl pairs.ledger.jsonl; do cmp "$tmp/$f" "$tmp/mended.$f" || fail "$f differs"; done
# One that the critic failed at, too.
rm "$tmp/nowhere.jpg" "$tmp/pairs.ledger.jsonl"
run 1 --resume
contains "$err" "sampled: 3 of 3 prompts (3 were there), 0 failed
prompt '7': $tmp/nowhere.jpg: cannot open"
cp "$tmp/cat.jpg" "$tmp/nowhere.jpg"
run 0 --resume
cmp "$tmp/pairs.ledger.jsonl" "$tmp/mended.pairs.ledger.jsonl" || fail "ledgers differ"
# A file of prompts in the wrong folder is not told line by line.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do
    printf '{"id": "n%s", "image": "none/%s.jpg", "prompt": "P"}\n' $i $i
done >"$tmp/lost.jsonl"
expect 1 "$critic" prefer --policy "$model" --critic coin --prompts "$tmp/lost.jsonl" -o "$tmp/lost.pairs.jsonl" --threads 1
equal "$(printf '%s\n' "$err" | grep -c "^prompt 'n")" 20
contains "$err" "2 more prompts failed: lines with status \"error\" in $tmp/lost.pairs.samples.jsonl"
contains "$out" "0 pairs of 22 prompts; 0 prompts without a pair (0 ties), 22 failed"

# ---- a full disk in each of the stages ---------------------------------------------------------------
squeezed() { # BLOCKS
    expect 4 short_of_disk "$1" "$critic" prefer --policy "$model" --critic "$model" --prompts "$tmp/prompts.jsonl" --out "$tmp/full.jsonl" -n 3 \
        --max-new-tokens 6 --keep-truncated --threads 1 --context 600 --format trl --resume --quiet
}
squeezed 2
one_line_error "stopped after 1 of 3 prompts; --resume goes on: $tmp/full.samples.jsonl: cannot write"
squeezed 4
one_line_error "stopped after 1 of 3 prompts; --resume goes on: $tmp/full.ledger.jsonl: cannot write"
expect 0 "$critic" prefer --policy "$model" --critic "$model" --prompts "$tmp/prompts.jsonl" --out "$tmp/full.jsonl" -n 3 --max-new-tokens 6 \
    --keep-truncated --threads 1 --context 600 --resume --quiet
rm "$tmp/full.jsonl"
squeezed 1
one_line_error "full.jsonl: cannot write"
expect 0 "$critic" prefer --policy "$model" --critic "$model" --prompts "$tmp/prompts.jsonl" --out "$tmp/full.jsonl" -n 3 --max-new-tokens 6 \
    --keep-truncated --threads 1 --context 600 --resume --quiet
for f in .jsonl .samples.jsonl .ledger.jsonl; do cmp "$tmp/full$f" "$tmp/mended.pairs$f" || fail "full$f differs"; done
rm "$tmp/nowhere.jpg"
run 1 --force --quiet

# ---- fewer prompts than the files hold ----------------------------------------------------------
cp "$tmp/prompts.jsonl" "$tmp/all.jsonl"
head -n 2 "$tmp/all.jsonl" >"$tmp/prompts.jsonl"
run 2 --resume --quiet
one_line_error "pairs.samples.jsonl:3: the prompt '3' is not among those of this run"
cp "$tmp/all.jsonl" "$tmp/prompts.jsonl"

# ---- one pass, unless the checkpoint was tuned to write its reason first --------------------------
printf '{"id": "a", "prompt": "Which animal?"}\n' >"$tmp/one.jsonl"
micro() { # MANNER VERDICT-ONLY EXPLAIN-BELOW FLAG…
    equal_to="\"template\":\"micro-pair-01-$1\""
    part="\"verdict_only\":$2,\"explain_below\":$3,"
    shift 3
    expect 0 "$critic" prefer --policy micro-policy --critic micro-critic --prompts "$tmp/one.jsonl" -o "$tmp/micro.jsonl" -n 2 \
        --temperature 2 --max-new-tokens 4 --judge-tokens 8 --keep-truncated --near-same 1 --threads 1 --force --quiet "$@"
    contains "$(cat "$tmp/micro.ledger.jsonl")" "$equal_to"
    contains "$(cat "$tmp/micro.ledger.jsonl")" "$part"
}
micro reason false 0.0
micro only true 0.0 --verdict-only
micro reason false 0.0 --with-reasons
micro reason true 0.5 --explain-below 0.5
expect 0 grep -q '"verdict_only":true,"explain_below":0.0,' "$tmp/pairs.ledger.jsonl"

# ---- formats from the same ledger --------------------------------------------------------------
run 1 --resume --format trl --image-prefix data
contains "$(cat "$tmp/pairs.jsonl")" '"images":["data/cat.jpg"],"prompt":[{"role":"user","content":[{"type":"image"},{"type":"text"'
run 1 --resume --format llama-factory
contains "$(cat "$tmp/pairs.jsonl")" '"conversations":[{"from":"human","value":"<image>\nWhich animal?"}],"chosen":{"from":"gpt"'
contains "$(cat "$tmp/pairs.dataset_info.json")" '"ranking": true'
run 1 --resume --format rewards
contains "$(sed -n 1p "$tmp/pairs.jsonl")" '"rewards":['
run 1 --resume --format best
contains "$(sed -n 1p "$tmp/pairs.jsonl")" '"of":3}'

# ---- baselines -----------------------------------------------------------------------------------
for judge in longer coin; do
    expect 1 "$critic" prefer --policy "$model" --critic $judge --prompts "$tmp/prompts.jsonl" -o "$tmp/$judge.jsonl" \
        -n 3 --max-new-tokens 6 --keep-truncated --pairs all --json
    contains "$out" '"answers":{"kept":6,'
done

# ---- the oracle of the micro world ------------------------------------------------------------------
expect 0 "$critic" data world --out "$tmp/w" --count 2 --quiet
expect 0 "$critic" data prompts "$tmp/w/train/scenes.jsonl" --quiet
expect 0 "$critic" prefer --policy "$model" --critic oracle --scenes "$tmp/w/train/scenes.jsonl" --reward score \
    --prompts "$tmp/w/train/prompts.jsonl" -o "$tmp/oracle.jsonl" -n 2 --max-new-tokens 6 --keep-truncated
contains "$out" "0 pairs of 2 prompts; 2 prompts without a pair (2 ties), 0 failed"
contains "$(cat "$tmp/oracle.ledger.jsonl")" '"judge":"oracle"'
expect 2 "$critic" prefer --policy "$model" --critic oracle --prompts "$tmp/prompts.jsonl" -o "$tmp/x.jsonl"
one_line_error "the oracle wants --scenes"

# ---- an endpoint that nobody answers at: the answers stay, and the ledger can be gone on with --------
expect 4 "$critic" prefer --policy "$model" --critic http://127.0.0.1:9/v1 --endpoint-model m --tries 1 \
    --prompts "$tmp/prompts.jsonl" -o "$tmp/remote.jsonl" -n 3 --max-new-tokens 6 --keep-truncated --quiet
one_line_error "stopped after 0 of 3 prompts; --resume goes on: gave up after 1 tries: http://127.0.0.1:9/v1"
equal "$(wc -l <"$tmp/remote.samples.jsonl")" 3
contains "$(cat "$tmp/remote.samples.jsonl")" "nowhere.jpg: cannot open"
expect 2 "$critic" prefer --policy "$model" --critic http://127.0.0.1:9/v1 --prompts "$tmp/prompts.jsonl" \
    -o "$tmp/remote.jsonl" -n 3 --max-new-tokens 6 --keep-truncated --quiet --resume
one_line_error "--endpoint-model"

# ---- an endpoint that dies on the way, and another of the same model that goes on --------------------
if command -v python3 >/dev/null; then
    remote() { # STATUS OUT
        expect "$1" "$critic" prefer --policy "$model" --critic "$url" --endpoint-model m --tries 1 --prompts "$tmp/prompts.jsonl" \
            -o "$2" -n 3 --max-new-tokens 6 --keep-truncated --quiet --resume
    }
    dying_judge 8 # six requests a prompt
    remote 4 "$tmp/dead.jsonl"
    one_line_error "stopped after 2 of 3 prompts; --resume goes on: gave up after 1 tries: $url"
    wait $judge_pid
    dying_judge 1000
    remote 1 "$tmp/dead.jsonl" # the second prompt has no picture
    remote 1 "$tmp/alive.jsonl"
    for f in .jsonl .samples.jsonl .ledger.jsonl; do cmp "$tmp/dead$f" "$tmp/alive$f" || fail "dead$f differs"; done
    kill $judge_pid
fi

# ---- wrong usage and wrong input --------------------------------------------------------------------
wrong() { # STATUS MESSAGE FLAG…: before anything is sampled
    status=$1 message=$2
    shift 2
    expect "$status" "$critic" prefer --policy "$model" --prompts "$tmp/prompts.jsonl" --threads 1 "$@"
    one_line_error "$message"
    [ ! -e "$tmp/z.samples.jsonl" ] || fail "it was begun: $*"
}
wrong 2 "'micro-score-10-only' does not compare two answers" --critic "$model" -o "$tmp/z.jsonl" --template micro-score-10-only
wrong 2 "'pairwise' does not score single answers" --critic coin -o "$tmp/z.jsonl" --template pairwise --reward score
wrong 2 "template 'nosuch' is neither built in" --critic "$model" -o "$tmp/z.jsonl" --template nosuch
wrong 3 "cat.jpg: not a checkpoint" --critic "$tmp/cat.jpg" -o "$tmp/z.jsonl"
wrong 2 "is no file; expected a file's name" --critic "$model" -o "$tmp"
expect 2 "$critic" prefer --policy "$model" --prompts "$tmp/prompts.jsonl" --out "$tmp/x.jsonl"
one_line_error "--critic is missing"
run 2 --force --temperature 0
one_line_error "--temperature"
printf '{"id": "a", "prompt": "P"}\n{"id": "a", "prompt": "Q"}\n' >"$tmp/twice.jsonl"
expect 3 "$critic" prefer --policy "$model" --critic longer --prompts "$tmp/twice.jsonl" -o "$tmp/y.jsonl"
one_line_error "twice.jsonl:2: the id 'a' stands there twice"
echo '{"id": "a", "text": "P"}' >"$tmp/none.jsonl"
expect 3 "$critic" prefer --policy "$model" --critic longer --prompts "$tmp/none.jsonl" -o "$tmp/y.jsonl"
one_line_error "none.jsonl:1: no prompt"
: >"$tmp/empty.jsonl"
expect 3 "$critic" prefer --policy "$model" --critic longer --prompts "$tmp/empty.jsonl" -o "$tmp/y.jsonl"
one_line_error "no prompt in it"
expect 4 "$critic" prefer --policy "$model" --critic longer --prompts "$tmp/prompts.jsonl" -o "$tmp/no/y.jsonl"
one_line_error "cannot write"
