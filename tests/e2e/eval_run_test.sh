#!/bin/sh
# critic eval run, compare, merge and list on small files in the published schemas (made by
# scripts/golden/eval_synthetic.py, which also computes some of the figures by other code).
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
data=$CRITIC_SOURCE_DIR/tests/golden/eval/synthetic
cd "$tmp"

run() { # STATUS BENCH FLAGS…
    status=$1
    shift
    expect "$status" "$critic" eval run "$@" --draws 100 --quiet
}
metric() { # NAME RULE: its value in $out, four decimals
    printf '%s' "$out" | tr '{' '\n' | sed -n "s/.*\"metric\":\"$1\",\"rule\":\"$2\",\"group\":null,\"value\":\([-0-9.]*\).*/\1/p" |
        head -n 1 | xargs printf '%.4f'
}
golden() { # KEY: of expected.json, four decimals
    sed -n "s/.*\"$1\": \([-0-9.]*\).*/\1/p" "$data/expected.json" | xargs printf '%.4f'
}

# The official rules on text, K votes with a coin for the order, against other code.
run 0 vl-rewardbench -d "$data" --verdicts "$data/vlrb_output.jsonl" --samples 3 --temperature 1 --json
equal "$(metric overall official)" "$(golden 'vlrb overall')"
equal "$(metric macro official)" "$(golden 'vlrb macro')"
contains "$out" '"differ":3'
# Harnesses that order by the parity of the lengths count code points, not bytes.
run 0 vl-rewardbench -d "$data" --verdicts "$data/vlrb_first.jsonl" --orders both --json
equal "$(metric overall 'lmms-eval, VLMEvalKit')" "$(golden 'vlrb parity')"
equal "$(metric 'same answer in both orders' 'swap-consistent')" 0.0000
equal "$(metric 'right in both orders' 'swap-consistent')" 0.0000
official=$(metric overall official)
case $official in 3?.* | 4?.* | 5?.* | 6?.*) ;; *) fail "always first scores $official, not about half" ;; esac
# The published file is known by its groups' sizes.
sizes() { # HALLUCINATION GENERAL REASONING: a file of so many
    awk -v h="$1" -v g="$2" -v r="$3" 'BEGIN {
        for (i = 0; i < h + g + r; i++) {
            id = i < h ? "hallucination_" i : i < h + g ? "wildvision-battle_" i : "mathverse_" i
            printf "{\"id\": \"%s\", \"query\": \"q\", \"response\": [\"a\", \"b\"], \"human_ranking\": [%d, %d]}\n",
                id, i % 2, 1 - i % 2
        }
    }' >sizes.jsonl
    run 0 vl-rewardbench -d sizes.jsonl --baseline coin --orders one --json
}
sizes 749 183 318
contains "$out" '"groups":"general 183, hallucination 749, reasoning 318","is_published_file":true'
coin=$(printf '%s' "$out" | tr '{' '\n' | sed -n 's/.*"metric":"overall","rule":"robust","group":null,"value":[0-9.]*,"ci":\[\([0-9]*\).*,\([0-9]*\)\..*\],"why".*/\1 \2/p')
[ "${coin% *}" -le 50 ] && [ "${coin#* }" -ge 49 ] || fail "a coin's interval is $coin"
sizes 700 232 318
contains "$out" '"is_published_file":false'

run 0 mllm-judge-score -d "$data" --baseline longer --json
equal "$(metric 'mean Pearson' robust)" "$(golden 'mllm-score longer')"
run 0 mllm-judge-pair -d "$data" --baseline longer --json
equal "$(metric 'accuracy with ties' robust)" "$(golden 'mllm-pair longer')"

# The paper's in-domain protocol, and the arena's votes: by other code.
run 0 in-domain-pointwise -d "$data" --baseline longer --json
equal "$(metric 'mean Pearson' robust)" "$(golden 'in-domain pointwise longer')"
equal "$(metric 'mean Kendall tau of models' robust)" "$(golden 'in-domain pointwise tau')"
for bench in in-domain-pairwise wildvision-arena; do
    run 0 "$bench" -d "$data" --baseline longer --orders one --json
    equal "$(metric 'accuracy with ties' robust)" "$(golden 'pairwise with ties')"
    equal "$(metric 'accuracy without ties' robust)" "$(golden 'pairwise strict')"
    equal "$(metric 'accuracy without ties, decided items' robust)" "$(golden 'pairwise decisive')"
    equal "$(metric 'Kendall tau of models' robust)" "$(golden 'pairwise tau')"
done
for bench in in-domain-pointwise in-domain-pairwise wildvision-arena; do # a checkpoint reads their pictures
    expect 0 "$critic" eval run "$bench" -d "$data" --limit 2 -m "$tiny/ov-lmms" --verdict-only --threads 1 --quiet
done

# Probabilities make a calibration; without any there is none.
run 0 mm-rlhf-rewardbench -d "$data" --limit 4 -m "$tiny/ov-lmms" --verdict-only --threads 1 --json
contains "$out" '"calibration":{"n":4,"ece":0.'
run 0 mm-rlhf-rewardbench -d "$data" -m "$tiny/ov-lmms" --verdict-only --threads 1 --json -o sure.jsonl
once=$out
run 0 mm-rlhf-rewardbench -d "$data" -m "$tiny/ov-lmms" --verdict-only --threads 1 --json -o sure.jsonl --resume
equal "$out" "$once" # figures of a run gone on with are those of one run, to the last digit
run 0 mm-rlhf-rewardbench -d "$data" --baseline longer --json
contains "$out" '"calibration":null'
run 2 mm-rlhf-rewardbench -d "$data" --baseline longer --probabilities
one_line_error 'from a checkpoint or an endpoint only'

# An oracle is always right, where there are labels; both forms of the file give the same items.
for bench in vl-rewardbench multimodal-rewardbench mm-rlhf-rewardbench mllm-judge-pair; do
    run 0 "$bench" -d "$data" --baseline oracle
    contains "$out" '100.0  (100.0 to 100.0)'
done
run 0 vl-rewardbench -d "$data/vl_rewardbench.tsv" --baseline longer
from_tsv=$out
run 0 vl-rewardbench -d "$data/vl_rewardbench.jsonl" --baseline longer
equal "$out" "$from_tsv"
run 0 mllm-judge-batch -d "$data" --baseline oracle
contains "$out" '0.000  (0.000 to 0.000)'
run 0 wildvision-bench -d "$data" --candidate mine --baseline second
contains "$out" 'win rate                             robust                 all                       100.0'
for bench in llava-bench llava-wilder mm-vet image-dc video-dc mmhal-bench; do
    run 0 "$bench" -d "$data" --answers "$data/answers.jsonl" --baseline tie
done

# When nobody judged there is no figure, never 0 or 100.
run 1 mmhal-bench -d "$data" --baseline oracle --json
contains "$out" '"judged":0'
lacks "$out" '"value":0'
lacks "$out" '"value":100'

# Shards and an interrupted run give the bytes of one run.
run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 -o whole.jsonl
for i in 1 2 3; do
    run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 -o "part$i.jsonl" --shard "$i/3"
done
expect 0 "$critic" eval merge part1.jsonl part2.jsonl part3.jsonl --output merged.jsonl
cmp merged.jsonl whole.jsonl || fail "merged shards differ from one run"
head -c 9000 whole.jsonl >cut.jsonl
run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 -o cut.jsonl --resume
cmp cut.jsonl whole.jsonl || fail "a resumed run differs from one run"
run 2 vl-rewardbench -d "$data" --baseline coin --seed 3 -o whole.jsonl
run 3 vl-rewardbench -d "$data" --baseline coin --seed 4 -o cut.jsonl --resume
one_line_error 'seed 3; expected'
head -n 2 part3.jsonl >short.jsonl
expect 3 "$critic" eval merge part1.jsonl part2.jsonl short.jsonl --output x.jsonl
one_line_error 'short.jsonl: 2 rows; expected 14'

# A run's own output is a file of verdicts.
run 0 vl-rewardbench -d "$data" --verdicts whole.jsonl --orders both --json
again=$(metric overall robust)
run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 --json
equal "$again" "$(metric overall robust)"

# A sample keeps the groups' shares and repeats.
run 0 vl-rewardbench -d "$data" --baseline longer --sample 14 --seed 5 -o a.jsonl
run 0 vl-rewardbench -d "$data" --baseline longer --sample 14 --seed 5 -o b.jsonl
cmp a.jsonl b.jsonl || fail "a seeded sample does not repeat"
equal "$(grep -c '"group":"hallucination"' a.jsonl)" 6
equal "$(grep -c . a.jsonl)" 14

# Reports: one page, its twin, CSV and Markdown; the same bytes each time.
run 0 vl-rewardbench -d "$data" --baseline longer -o longer.jsonl --report r.html --csv r.csv --markdown r.md
cp r.html first.html
run 0 vl-rewardbench -d "$data" --baseline longer --report r.html
cmp r.html first.html || fail "two reports of one judging differ"
contains "$(cat r.json)" '"judges":['
equal "$(wc -l <r.csv)" 43
contains "$(cat r.md)" '| macro (%) | robust |'
contains "$(cat r.html)" 'The file is not the published one'
expect 0 "$critic" eval compare whole.jsonl longer.jsonl -d "$data" --report c.html
contains "$out" 'whole.jsonl against longer.jsonl: difference'
contains "$(cat c.html)" 'Share of items with the same verdict'

# Whose words: ours, or the benchmark's own, read from its file.
run 0 mm-vet -d "$data" --answers "$data/answers.jsonl" --baseline tie --json
contains "$out" '"wording":"ours, in the published structure"'
cat >evaluator.py <<'END'
prompt = """Compare "{x}" the ground truth and prediction.
Question | Ground truth | Prediction | Correctness
--- | --- | --- | ---"""
template = '''Please act {{fair}}.
### Image Contents
{}
### Question
{}
### Standard Human-Generated Answer
{}
### LMM Response to Evaluate
{}
'''
END
cat >rule.json <<'END'
{"coding": {"role": "Helper", "prompt": "x"}, "llava_bench_conv": {"role": "Assistant", "prompt": "Rate {both}."},
 "llava_bench_detail": {"role": "Assistant", "prompt": "Rate {both}."}}
END
if command -v python3 >/dev/null; then
    for bench in mm-vet mmhal-bench llava-bench; do
        file=evaluator.py
        [ $bench != llava-bench ] || file=rule.json
        expect 0 python3 "$CRITIC_SOURCE_DIR/scripts/official-template" $bench $file "$bench.txt"
        run 0 $bench -d "$data" --answers "$data/answers.jsonl" --baseline tie --template "$bench.txt" --json
        contains "$out" "\"template\":\"$bench-official\""
        contains "$out" '"wording":"read from a file'
    done
    contains "$(cat mm-vet.txt)" 'Compare "{{x}" the'
    contains "$(cat mmhal-bench.txt)" 'Please act {{fair}.'
    contains "$(cat llava-bench.txt)" '[End of Assistant 2]

[System]
Rate {{both}.'
    expect 1 python3 "$CRITIC_SOURCE_DIR/scripts/official-template" mmhal-bench rule.json x.txt
fi

# The published VL-RewardBench gives one id to different pairs: both count, and each has its verdict, by
# its answers or by its turn. The same pair twice is a fault.
twin() { printf '{"id":"mmmu_1","query":"q","response":["%s","%s"],"human_ranking":[%s]}\n' "$@"; }
{ twin a b '0, 1'; twin c d '1, 0'; twin b a '1, 0'; } >twins.jsonl
printf '{"id":"mmmu_1","response":["%s","%s"],"raw":"Overall Judgment: Answer %d is better."}\n' d c 1 b a 1 >by_content.jsonl
run 1 vl-rewardbench -d twins.jsonl --verdicts by_content.jsonl --orders one -o rows.jsonl
contains "$out" '2 of 2 judged'
contains "$out" 'overall                              official               all                        50.0'
one_line_error "id 'mmmu_1' stands there already"
contains "$(cat rows.jsonl)" '"id":"mmmu_1#2"'
printf '{"id":"mmmu_1","raw":"Overall Judgment: Answer %d is better."}\n' 1 2 >by_turn.jsonl
run 1 vl-rewardbench -d twins.jsonl --verdicts by_turn.jsonl --orders one
contains "$out" 'overall                              official               all                       100.0'
run 1 vl-rewardbench -d twins.jsonl --verdicts rows.jsonl --orders one
contains "$out" '2 of 2 judged'
# VLMEvalKit's copy has numbers for ids, and the group as a column.
printf 'index\tquestion\tresponse\tanswer\tcategory\n0\tq\t["a", "b"]\t[0, 1]\treasoning\n1\tq\t["c", "d"]\t[0, 1]\thallucination\n' >kit.tsv
run 0 vl-rewardbench -d kit.tsv --baseline first --orders one --json
contains "$out" '"groups":"hallucination 1, reasoning 1"'

# MM-Vet as it is downloaded: objects by their ids, answers by their ids.
mkdir vet
printf '{\n "v1_0": {"imagename": "v1_0.png", "question": "x?", "answer": "-1<AND>-5", "capability": ["ocr", "math"]},\n "v1_1": {"question": "y?", "answer": "5", "capability": ["ocr"]}\n}\n' >vet/mm-vet.json
printf '{\n "v1_0": "minus one",\n "v1_1": "five"\n}\n' >vet/mine.json
printf '\357\273\277{"id": "v1_0", "raw": "0.5"}\n{"id": "v1_1", "raw": "1.0"}\n' >vet/grades.jsonl
run 0 mm-vet -d vet --answers vet/mine.json --verdicts vet/grades.jsonl
contains "$out" '2 of 2 judged'
contains "$out" 'official               all                        75.0'
contains "$out" 'official               math                       50.0'

# MLLM-as-a-Judge: pictures lie in image/ beside the folder of the files.
mkdir -p Dataset/Benchmark Dataset/image
cp "$data"/images/*.png Dataset/image/
sed 's,images/,,' "$data/pair.jsonl" >Dataset/Benchmark/pair.jsonl
run 0 mllm-judge-pair -d . --limit 2 -m "$tiny/ov-lmms" --verdict-only --threads 1
contains "$out" '2 of 2 judged'

# What is judged is not written over, --force or not.
head -n 6 sizes.jsonl >own.jsonl
cp own.jsonl own.kept
run 2 vl-rewardbench -d own.jsonl --baseline coin -o ./own.jsonl --force
contains "$err" "own.jsonl: is the input as well"
run 2 vl-rewardbench -d own.jsonl --baseline coin --panel own.jsonl --force
for flag in report csv markdown; do
    run 2 vl-rewardbench -d own.jsonl --baseline coin --$flag own.jsonl
    contains "$err" "own.jsonl: is the input as well"
done
mkdir own
cp own.jsonl own/own.jsonl
run 2 vl-rewardbench -d own --baseline coin -o own/own.jsonl --force
contains "$err" "own/own.jsonl: is the input as well"
run 2 vl-rewardbench -d own --baseline coin --report own/own.jsonl
contains "$err" "own/own.jsonl: is the input as well"
expect 2 "$critic" eval panel vl-rewardbench -d own.jsonl --baseline coin -o own.jsonl --force
contains "$err" "own.jsonl: is the input as well"
expect 2 "$critic" eval panel vl-rewardbench -d own.jsonl --baseline coin --report own.jsonl
contains "$err" "own.jsonl: is the input as well"
cmp own.jsonl own.kept || fail "eval run wrote over the file that it judges"

# What is there from other items stays; what was judged later goes to its place.
run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 -o whole.jsonl --force
run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 -o late.jsonl --limit 1 --shard 1/1
tail -n 1 whole.jsonl >late.jsonl
run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 -o late.jsonl --resume
cmp late.jsonl whole.jsonl || fail "a late line is not put in its place"
run 0 vl-rewardbench -d "$data" --baseline coin --seed 3 -o late.jsonl --resume --limit 3
cmp late.jsonl whole.jsonl || fail "lines of items that are not asked for are lost"

# Bad input: one line each, counted, nothing lost, "n of N judged".
{
    head -n 5 whole.jsonl
    head -n 1 whole.jsonl
    echo 'not json'
    echo '{"id": "nobody", "verdict": "first"}'
    printf '\377\376\n'
} >bad.jsonl
expect 1 "$critic" eval run vl-rewardbench -d "$data" --verdicts bad.jsonl --draws 100
contains "$out" '5 of 42 judged; 0 unparsed, 37 failed'
contains "$err" "0 of 1 verdicts for id"
contains "$err" 'an id stands there twice'
contains "$err" 'a verdict for an id that the benchmark does not have'
contains "$err" 'bad.jsonl:7: '
: >empty.jsonl
run 3 vl-rewardbench -d "$data" --verdicts empty.jsonl
one_line_error 'empty.jsonl'
mkdir no-data
run 3 vl-rewardbench -d no-data --baseline coin
one_line_error 'expected vl_rewardbench.jsonl or vl_rewardbench.tsv'
run 2 vl-rewardbenches -d "$data" --baseline coin
one_line_error "critic eval list"
run 2 vl-rewardbench -d "$data" --baseline coin --verdicts whole.jsonl
one_line_error 'expected one judge'
expect 0 "$critic" eval list
contains "$out" 'coco_pope_random.json'
contains "$out" 'mm_reward_bench.jsonl'
contains "$out" 'Published figures that their own data do not give'
