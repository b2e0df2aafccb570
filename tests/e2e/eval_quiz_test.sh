#!/bin/sh
# critic eval run pope, mme, mmbench: a tiny random checkpoint answers tiny files in the published layouts (made by
# scripts/golden/eval_quiz.py), and is scored in the same command.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
data=$CRITIC_SOURCE_DIR/tests/golden/eval/quiz
cd "$tmp"
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
n=4 # tokens a reply

quiz() { # STATUS BENCH FOLDER FLAGS…
    status=$1 bench=$2 folder=$3
    shift 3
    expect "$status" "$critic" eval run "$bench" -d "$data/$folder" -m "$tiny/ov-lmms" --threads 1 \
        --max-new-tokens "$n" --quiet "$@"
}
same() { # A B WHAT
    cmp "$1" "$2" || fail "$3"
}

# POPE: three splits whose ids begin anew; pictures found in val2014/; scored again with the same result.
quiz 0 pope pope -o pope.jsonl --json --report pope.html
contains "$out" '"splits":{"random":{"accuracy":'
contains "$out" '"questions":18'
contains "$out" '"ci":{"accuracy":['
ran=$out
equal "$(wc -l <pope.jsonl)" 18
contains "$(sed -n 7p pope.jsonl)" '{"question_id":"popular/1","category":"popular"'
contains "$(cat pope.html)" 'Accuracy by split'
contains "$(cat pope.json)" '"splits":{'
expect 0 "$critic" eval score pope --predictions pope.jsonl --json
equal "$out" "$ran"
# One official file: its own ids, so that it is the labels' file too.
quiz 0 pope pope/coco_pope_popular.json -o one.jsonl --pictures "$data/pope/val2014" --json
contains "$(head -n 1 one.jsonl)" '{"question_id":1,'
accuracy=${out#*'"accuracy":'}
expect 0 "$critic" eval score pope --predictions one.jsonl --labels "$data/pope/coco_pope_popular.json" --json
contains "$out" "\"accuracy\":${accuracy%%,*}"
contains "$out" '"paired_by":"question_id"'
# What the model was asked decides what it says; the instruction is part of it.
quiz 0 pope pope -o other.jsonl --instruction 'Answer at length.'
if cmp -s pope.jsonl other.jsonl; then fail "the instruction changes nothing"; fi

# MME: both kinds of task folders, two questions a picture; tasks that are missing are told.
quiz 1 mme mme -o mme.jsonl --json --report mme.html
contains "$out" '"artwork":{"score":'
contains "$err" '4 of 14 tasks are there'
equal "$(wc -l <mme.jsonl)" 16
contains "$(grep -c '"category":"artwork","image":"10[01].jpg"' mme.jsonl)" 4
contains "$(cat mme.html)" 'MME by task'
ran=$out
expect 1 "$critic" eval score mme --predictions mme.jsonl --json
equal "$out" "$ran"
# The official files give the same scores: picture, question, answer, prediction.
mkdir results
for task in existence count artwork code_reasoning; do
    grep "\"category\":\"$task\"" mme.jsonl |
        sed 's/.*"image":"\([^"]*\)","question":"\([^"]*\)","answer":"\([^"]*\)","prediction":"\(.*\)","finish.*/\1\t\2\t\3\t\4/' \
            >"results/$task.txt"
done
expect 1 "$critic" eval score mme --predictions results --json
equal "$out" "$ran"
quiz 1 mme mme-import -o import.jsonl --json
contains "$out" '"scene":{"score":'
equal "$(wc -l <import.jsonl)" 8

# MMBench: rotations are made where the file has none, and are those of the file that has them; what the
# matching does not read is chosen by likelihood.
quiz 0 mmbench mmbench -o mmb.jsonl --json --report mmb.html
contains "$out" '"questions":4,"rows":13'
contains "$out" '"extract_fail_rate":1.0,"chosen_by_likelihood":13'
contains "$(cat mmb.html)" 'chosen by likelihood'
ran=$out
expect 0 "$critic" eval score mmbench --predictions mmb.jsonl --json
equal "$out" "$ran"
contains "$(sed -n 2p mmb.jsonl)" '"index":1000241'
contains "$(sed -n 2p mmb.jsonl)" '"A":"right","B":"above","C":"below","D":"left","answer":"A"'
contains "$(sed -n 5p mmb.jsonl)" '"hint":"The picture was\ttaken at night."'
quiz 0 mmbench mmbench-rotated -o rotated.jsonl
same mmb.jsonl rotated.jsonl "rotations made and read differ"
# The likeliest letter: the probabilities sum to 1 and the greatest is the choice.
sed 's/.*"choice":"\(.\)","choice_probabilities":{\([^}]*\)}.*/\1 \2/' mmb.jsonl | tr '",:' '   ' |
    awk '{ best = 0; sum = 0
           for (i = 2; i < NF; i += 2) { sum += $(i + 1); if ($(i + 1) > best) { best = $(i + 1); letter = $i } }
           if (letter != $1 || sum < 0.999999 || sum > 1.000001) exit 1 }' || fail "choice is not the likeliest"

# Limit and sample keep rotations and pictures whole; a sample repeats and has every split.
quiz 0 mmbench mmbench -o few.jsonl --limit 1
equal "$(wc -l <few.jsonl)" 4
quiz 0 pope pope -o a.jsonl --sample 6 --seed 2
quiz 0 pope pope -o b.jsonl --sample 6 --seed 2
same a.jsonl b.jsonl "a seeded sample does not repeat"
equal "$(grep -c '"category":"adversarial"' a.jsonl)" 2

# Shards, put together, are the bytes of one run.
for i in 1 2 3; do
    quiz 0 mmbench mmbench -o "part$i.jsonl" --shard "$i/3"
    equal "$out" ""
done
expect 0 "$critic" eval merge part1.jsonl part2.jsonl part3.jsonl --output merged.jsonl
same merged.jsonl mmb.jsonl "merged shards differ from one run"
expect 3 "$critic" eval merge part1.jsonl pope.jsonl --output x.jsonl
one_line_error "pope.jsonl:1: of another benchmark"

# kill -9 in the middle, then --resume: the bytes of an uninterrupted run, the torn line made good.
n=300
quiz 0 pope pope -o whole.jsonl
"$critic" eval run pope -d "$data/pope" -m "$tiny/ov-lmms" --threads 1 --max-new-tokens $n --quiet -o killed.jsonl \
    >killed.out 2>&1 &
job=$!
tries=0
until [ -f killed.jsonl ] && [ "$(wc -l <killed.jsonl)" -ge 3 ]; do
    tries=$((tries + 1))
    [ $tries -lt 3000 ] || fail "nothing was written"
    sleep 0.02
done
kill -9 $job
wait $job || true
lines=$(wc -l <killed.jsonl)
[ "$lines" -lt 18 ] || fail "the run was over before it was killed"
head -c 5000 whole.jsonl >torn.jsonl
for file in killed.jsonl torn.jsonl; do
    quiz 0 pope pope -o $file --resume
    same $file whole.jsonl "$file, resumed, differs from one run"
done
n=4
quiz 2 pope pope -o whole.jsonl
one_line_error 'holds results already'
quiz 3 pope pope -o whole.jsonl --resume
one_line_error 'other sampling'
quiz 3 pope pope -o a.jsonl --resume
one_line_error 'other sampling'
quiz 3 pope pope -o pope.jsonl --resume --limit 3
one_line_error 'holds 15 questions that are not asked now'

# A picture that is missing: its line, counted, asked again on resume, and the order is that of the file.
cp -r "$data/pope" broken
mv broken/val2014/COCO_val2014_000000000073.jpg away.jpg
expect 1 "$critic" eval run pope -d broken -m "$tiny/ov-lmms" --threads 1 --max-new-tokens 4 -o broken.jsonl
contains "$err" '12 answered, 6 failed'
contains "$err" 'question random/3: '
contains "$err" '12 of 18 questions judged'
mv away.jpg broken/val2014/COCO_val2014_000000000073.jpg
expect 0 "$critic" eval run pope -d broken -m "$tiny/ov-lmms" --threads 1 --max-new-tokens 4 -o broken.jsonl --resume
same broken.jsonl pope.jsonl "a mended run differs"

# Bad input: one clear line, the right status.
expect 2 "$critic" eval run pope -d "$data/pope" -m "$tiny/ov-lmms"
one_line_error 'expected --output FILE'
expect 2 "$critic" eval run pope -d "$data/pope" --baseline coin -o x.jsonl
one_line_error 'expected --model'
expect 2 "$critic" eval run pope -d "$data/pope" -o x.jsonl
one_line_error
mkdir nothing
quiz 3 mme ../quiz/pope -o x.jsonl
one_line_error 'MME_Benchmark_release_version'
picture=$data/pope/val2014/COCO_val2014_000000000042.jpg
{
    printf 'index\tquestion\tA\tB\tanswer\timage\n1\tq\ta\tb\tE\t%s\n2\tq\ta\t\tA\t%s\n' "$picture" "$picture"
    printf 'x\tq\ta\tb\tA\t%s\n3\tq\ta\tb\tB\t%s\n4\tq\ta\tb\tB\t\n' "$picture" "$picture"
} >bad.tsv
expect 1 "$critic" eval run mmbench -d bad.tsv -m "$tiny/ov-lmms" --threads 1 --max-new-tokens 4 -o bad.jsonl --quiet
contains "$err" "bad.tsv:2: answer 'E' is no option's letter; question left out (4 of this kind in the file)"
equal "$(wc -l <bad.jsonl)" 2
: >empty.tsv
expect 3 "$critic" eval run mmbench -d empty.tsv -m "$tiny/ov-lmms" -o x.jsonl
one_line_error
