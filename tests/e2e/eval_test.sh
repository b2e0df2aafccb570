#!/bin/sh
# critic eval: verdict files of other judges, scored by the benchmarks' own rules.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
data=$CRITIC_SOURCE_DIR/tests/golden/eval

expect 2 "$critic" eval
one_line_error "no command given"
expect 2 "$critic" eval llava-revews
one_line_error "did you mean 'eval llava-reviews'?"
expect 0 "$critic" eval --help
contains "$out" 'llava-reviews'

# ---- LLaVA-Bench reviews
expect 0 "$critic" eval llava-reviews --json --quiet "$data"/llava-reviews/*.jsonl
contains "$out" '"n":80,"scored":80,"mean_reference":8.3,"mean_candidate":8.19375,"relative_score":98.7198795180723,"parsed":80,"by_rule":77,"recorded":3,"unparsed":0,"differ":1'
contains "$out" '{"n":160,"parsed":160,"unparsed":0,"relative_score":95.3205600589536,"files":['
contains "$out" '"relative_score":92.0634920634921,"parsed":80,"by_rule":77,"recorded":3,"unparsed":0,"differ":0'
expect 0 "$critic" eval llava-reviews "$data"/llava-reviews/review_bard_vicuna-13b.jsonl
contains "$err" 'review 70: counts as 10, 2 (recorded); the text says 10, 4'

printf '%s\n' '{"question_id": 1, "text": "8 9"}' '{"question_id": 1, "text": "8 4"}' '{"question_id": 2}' \
    'not json' '{"question_id": 3, "text": "nothing"}' >"$tmp/bad.jsonl"
expect 1 "$critic" eval llava-reviews --json "$tmp/bad.jsonl"
contains "$out" '"n":2,"scored":1,"mean_reference":8.0,"mean_candidate":4.0,"relative_score":50.0'
contains "$err" "bad.jsonl:2: question_id '1' stands twice; the last one counts"
contains "$err" "bad.jsonl:3: has no 'text' of the judge"
contains "$err" 'bad.jsonl:4: not valid JSON'
equal "$(wc -l <"$tmp/.err")" 3
# A byte order mark, carriage returns, one list instead of lines; bytes that are no UTF-8 in a line.
printf '\357\273\277{"question_id": 1, "text": "8 4"}\r\n\r\n{"question_id": 2, "content": "8 4"}' >"$tmp/bom.jsonl"
expect 0 "$critic" eval llava-reviews --json "$tmp/bom.jsonl"
contains "$out" '"n":2,"scored":2,'
printf '[{"question_id": 1, "text": "8 4"}, {"question_id": 2, "text": "8 4"}]' >"$tmp/list.json"
expect 0 "$critic" eval llava-reviews --json "$tmp/list.json"
contains "$out" '"n":2,"scored":2,'
printf '{"question_id": 1, "text": "8 4 \344"}\n{"question_id": 2, "text": "8 4"}\n' >"$tmp/latin.jsonl"
expect 1 "$critic" eval llava-reviews --json "$tmp/latin.jsonl"
one_line_error 'latin.jsonl:1: byte 32 of the line is not UTF-8'
contains "$out" '"n":1,"scored":1,'
# No pair at all: no score, never 100.
printf '%s\n' '{"question_id": 1, "text": "no"}' >"$tmp/none.jsonl"
expect 1 "$critic" eval llava-reviews --json "$tmp/none.jsonl"
contains "$out" '"relative_score":null'
one_line_error 'no pair of scores was read from 1 reviews'
printf '%s\n' '{"question_id": 1, "text": "8 9"}' '{"question_id": 2, "text": "80 90"}' >"$tmp/scales.jsonl"
expect 1 "$critic" eval llava-reviews --json "$tmp/scales.jsonl"
one_line_error 'scales.jsonl:2: a score of 80 is off the scale of 1 to 10; it counts'
contains "$out" '"scored":2'
: >"$tmp/empty.jsonl"
expect 3 "$critic" eval llava-reviews "$tmp/empty.jsonl"
one_line_error 'is empty'
printf '\377\376{\0' >"$tmp/utf16.jsonl"
expect 3 "$critic" eval llava-reviews "$tmp/utf16.jsonl"
one_line_error 'UTF-16'
expect 3 "$critic" eval llava-reviews "$tmp/absent.jsonl"
one_line_error 'absent.jsonl'

# ---- WildVision-Bench
expect 2 "$critic" eval wildvision
one_line_error '--judgements DIR is needed'
expect 0 "$critic" eval wildvision --judgements "$data/wildvision" --json
contains "$out" '{"models":[{"model":"gpt-4-vision-preview","score":79.78'
contains "$out" '"win_rate":71.8,"reward":39.4,"counts":{"much_better":182,"better":177,"tie":22,"worse":91,"much_worse":28},"unparsed":7'
contains "$out" '"model":"claude-3-sonnet-20240229","score":50.0,"ci":[50.0,50.0],"win_rate":0.2,"reward":0.1,"counts":{"much_better":0,"better":1,"tie":499,"worse":0,"much_worse":0}'
first=$out
expect 0 env OMP_NUM_THREADS=1 "$critic" eval wildvision --judgements "$data/wildvision" --json
equal "$out" "$first"

# The text is read, not the recorded label; games turn round; several labels are none; a text without
# a label leaves the recorded one; ids twice, ids that others have, a foreign line, another model's line.
mkdir "$tmp/wv"
printf '%s\n' \
    '{"question_id": "a", "model": "m", "judgment": "so [[B>>A]]", "score": "A>>B"}' \
    '{"question_id": "b", "model": "m", "games": [{"judgement": "[[B>A]]", "score": "B>A"}, {"judgement": "[[A>B]]", "score": "A>B"}]}' \
    '{"question_id": "c", "model": "m", "judgment": "[[A>B]] or [[B>A]]", "score": null}' \
    '{"question_id": "d", "model": "m", "judgment": "$ERROR$", "score": "A>B"}' >"$tmp/wv/m.jsonl"
expect 0 "$critic" eval wildvision --judgements "$tmp/wv" --json
contains "$out" '"win_rate":50.0,"reward":37.5,"counts":{"much_better":1,"better":2,"tie":1,"worse":1,"much_worse":0},"unparsed":2,"from_label":1,"label_differs":1,"judged":4,"unknown":0,"missing":0'
contains "$out" '"score":83.333' # 5 of 6 battles
printf '%s\n' '{"question_id": "a", "model": "k", "judgment": "nothing"}' \
    '{"question_id": "a", "model": "k", "judgment": "[[B>A]]"}' '{"model": "k"}' \
    '{"question_id": "b", "model": "other", "judgment": "[[A=B]]"}' '{"question_id": "c", "model": "k", "judg' >"$tmp/wv/k.jsonl"
: >"$tmp/wv/empty.jsonl"
printf '\377\376{\0' >"$tmp/wv/wide.jsonl"
expect 1 "$critic" eval wildvision --judgements "$tmp/wv" --json
contains "$err" "k.jsonl:2: question_id 'a' stands twice; the last one counts"
contains "$err" 'k.jsonl:3: has no question_id; line left out'
contains "$err" "k.jsonl:4: is of model 'other'; expected 'k'"
contains "$err" 'k.jsonl:5: not valid JSON'
contains "$err" 'k.jsonl: 2 of 4 questions judged'
contains "$err" 'empty.jsonl: is empty'
contains "$err" 'wide.jsonl: is UTF-16'
equal "$(wc -l <"$tmp/.err")" 7
contains "$out" '"judged":2,"unknown":0,"missing":2'
contains "$out" '"counts":{"much_better":0,"better":1,"tie":1,"worse":0,"much_worse":0},"unparsed":0,'
mkdir "$tmp/none"
expect 3 "$critic" eval wildvision --judgements "$tmp/none"
one_line_error 'has no *.jsonl in it'
: >"$tmp/none/x.jsonl"
expect 3 "$critic" eval wildvision --judgements "$tmp/none"
contains "$err" 'none of 1 files has a judgement in it'
# No verdict at all: no score.
printf '%s\n' '{"question_id": "a", "model": "m", "judgment": "none"}' >"$tmp/none/x.jsonl"
expect 1 "$critic" eval wildvision --judgements "$tmp/none" --json
contains "$out" '"score":null,"ci":null'
one_line_error 'no verdict was read from 1 judgements; there is no score'
# Three candidates: an id that one of them alone has is nobody's question.
mkdir "$tmp/three"
for m in x y z; do
    printf '{"question_id": "a", "model": "%s", "judgment": "[[A>B]]"}\n' $m >"$tmp/three/$m.jsonl"
done
printf '%s\n' '{"question_id": "stray", "model": "x", "judgment": "[[A=B]]"}' >>"$tmp/three/x.jsonl"
expect 1 "$critic" eval wildvision --judgements "$tmp/three" --json
one_line_error "x.jsonl: no other candidate has question_id 'stray'; it counts"
contains "$out" '"judged":1,"unknown":1,"missing":0'
contains "$out" '"questions":1'
expect 1 "$critic" eval wildvision --judgements "$tmp/three"
contains "$out" '(1 of 1 judged, 1 that no other has)'

# ---- MME, POPE, MMBench (their scores: src/eval/plain_test.c)
expect 0 "$critic" eval score mme --predictions "$data/mme" --json
contains "$out" '{"perception":833.333333333333,"cognition":506.666666666667,"tasks":{"existence":{"score":'
expect 0 "$critic" eval score mme --predictions "$data/mme"
contains "$out" 'perception 833.33, cognition 506.67 (14 of 14 tasks)'
mkdir "$tmp/mme"
expect 3 "$critic" eval score mme --predictions "$tmp/mme"
one_line_error 'has no task file in it'
printf 'a.jpg\tq1\tYes\tYes\na.jpg\tq2\tNo\nb.jpg\tq1\tYes\tno\tway\nc.jpg\tq2\tperhaps\tno\nc.jpg\tq2\tperhaps\tno\nstray\n' >"$tmp/mme/count.txt"
: >"$tmp/mme/color.txt"
expect 1 "$critic" eval score mme --predictions "$tmp/mme" --json
contains "$out" '"score":20.0,"acc":0.2,"acc_plus":0.0,"questions":5,"pictures":3'
contains "$err" 'count.txt:2: has no prediction'
contains "$err" 'count.txt:3: has more than 4 columns'
contains "$err" "count.txt:4: picture 'c.jpg' does not belong to the question before"
contains "$err" 'count.txt:4: the answer is not yes or no; counts as wrong (2 of this kind in the file)'
contains "$err" 'count.txt:5: the question stands twice'
contains "$err" 'count.txt:6: has no tab'
contains "$err" 'count.txt: has 5 questions; expected two a picture'
contains "$err" 'color.txt: has no question in it'
contains "$err" '1 of 14 tasks are there'

expect 0 "$critic" eval score pope --predictions "$data/pope-answers.jsonl" --labels "$data/pope-labels.json" --json
contains "$out" '{"accuracy":0.735,"precision":'
printf '%s\n' '{"question_id": 1, "label": "yes"}' '{"question_id": 2, "label": "no"}' '{"question_id": 3, "label": "no"}' >"$tmp/labels.json"
printf '%s\n' '{"question_id": 2, "text": "No"}' '{"question_id": 2, "text": "yes"}' '{"question_id": 9, "text": "no"}' '{"question_id": 1}' >"$tmp/answers.jsonl"
expect 1 "$critic" eval score pope --predictions "$tmp/answers.jsonl" --labels "$tmp/labels.json" --json
contains "$out" '{"accuracy":0.0,"precision":0.0,"recall":null,"f1":null,"yes_ratio":1.0,"judged":1'
contains "$err" "answers.jsonl:2: question_id '2' stands twice"
contains "$err" "answers.jsonl:3: question_id '9' has no label"
contains "$err" "answers.jsonl:4: has no 'answer' or 'text'"
contains "$err" 'answers.jsonl: 1 of 3 questions judged'
printf '%s\n' '{"question_id": 1, "label": "perhaps"}' >"$tmp/labels.json"
expect 3 "$critic" eval score pope --predictions "$tmp/answers.jsonl" --labels "$tmp/labels.json"
contains "$err" "labels.json:1: 'label' is not"
contains "$err" "labels.json: no 'label' is"
expect 2 "$critic" eval score pope --predictions "$tmp/answers.jsonl"
one_line_error '--labels FILE'
# A line that cannot be read leaves its own gap: what follows stays in its place.
printf '{"label":"yes"}\n{"label":"no"}\n{"label":"no"}\n{"label":"yes"}\n' >"$tmp/labels.json"
printf '{"text":"Yes"}\n{"text":"caf\351"}\n{"text":"No"}\n{"text":"Yes"}\n' >"$tmp/gap.jsonl"
expect 1 "$critic" eval score pope --predictions "$tmp/gap.jsonl" --labels "$tmp/labels.json" --json
contains "$out" '{"accuracy":1.0,'
contains "$out" '"judged":3'
# So does a label that cannot be read, and its question is left out.
printf '{"label":"yes"}\n{"label":7}\n{"label":"no"}\n{"label":"yes"}\n' >"$tmp/labels.json"
printf '{"text":"Yes"}\n{"text":"Yes"}\n{"text":"No"}\n{"text":"Yes"}\n' >"$tmp/all.jsonl"
expect 1 "$critic" eval score pope --predictions "$tmp/all.jsonl" --labels "$tmp/labels.json" --json
contains "$out" '{"accuracy":1.0,'
contains "$out" '"questions":3'
# Ids that are shifted, as 0, 1, 2 for 1, 2, 3, pair nothing: the lines do. Nor do ids of another split.
printf '{"question_id":%d,"text":"Is there a %s?","label":"%s"}\n' 1 cat yes 2 dog no 3 cow yes >"$tmp/labels.json"
printf '{"question_id":%d,"text":"%s"}\n' 0 Yes 1 No 2 Yes >"$tmp/shift.jsonl"
expect 0 "$critic" eval score pope --predictions "$tmp/shift.jsonl" --labels "$tmp/labels.json" --json
contains "$out" '{"accuracy":1.0,'
contains "$out" '"paired_by":"line"'
printf '{"question_id":%d,"prompt":"Is there a %s?\\nOne word.","text":"%s"}\n' 3 cat Yes 2 dog No 1 cow Yes >"$tmp/asked.jsonl"
expect 0 "$critic" eval score pope --predictions "$tmp/asked.jsonl" --labels "$tmp/labels.json" --json
contains "$out" '"paired_by":"line"'
printf '{"question_id":%d,"prompt":"Is there a %s?\\nOne word.","text":"%s"}\n' 1 cat Yes 2 rat No 3 cow Yes >"$tmp/asked.jsonl"
expect 1 "$critic" eval score pope --predictions "$tmp/asked.jsonl" --labels "$tmp/labels.json" --json
contains "$err" '1 predictions are for other questions than the labels'
expect 2 "$critic" eval score popes
one_line_error "did you mean 'eval score pope'?"

expect 0 "$critic" eval score mmbench --predictions "$data/mmbench.tsv" --json
contains "$out" '{"overall":0.15,"questions":60,"rows":198,'
printf 'index\tA\tB\tanswer\tprediction\n0\tcat\tdog\tA\tA\n0\tcat\tdog\tA\tA\n1\tcat\tdog\tC2\tA\n2\tcat\tdog\n3\tcat\tdog\tB\t"the ""dog""\n"\n1000003\tdog\tcat\tA\tA\nx\ta\tb\tA\tA\n' >"$tmp/m.tsv"
expect 1 "$critic" eval score mmbench --predictions "$tmp/m.tsv" --json
contains "$out" '{"overall":1.0,"questions":2,"rows":3,'
contains "$err" 'm.tsv:3: index 0 stands twice'
contains "$err" "m.tsv:4: 'answer' is not a letter"
contains "$err" 'm.tsv:5: has 3 columns; expected 5'
contains "$err" "m.tsv:9: has no whole number 'index'"
contains "$err" 'question 0 has 1 of 2 rotations'

# ---- a judge beside a reference
printf 'judge\treference\tother\tprompt\n1\t1\t2\ta\n2\t3\t2\ta\n2\t2\t2\tb\n3\t4\t1\tb\n' >"$tmp/s.tsv"
expect 0 "$critic" eval stats "$tmp/s.tsv" --json
contains "$out" '"kendall_tau_b":{"value":0.912870929175277,'
contains "$out" '"mean_error":0.5,'
contains "$out" '"n":4,"rows":4,"clusters":null'
expect 0 "$critic" eval stats "$tmp/s.tsv" -z other --cluster prompt --method bca --draws 200 --json
contains "$out" '"clusters":2'
contains "$out" '"error_gain":{"value":0.75,'
contains "$out" '"error_gain_permutation_p":0.5' # two clusters: 4 sign patterns, 2 as extreme
expect 0 "$critic" eval stats "$tmp/s.tsv" -z other
contains "$out" 'Kendall tau-b                0.9129'
contains "$out" 'would tell the two apart'
printf '%s\n' '{"judge": "first", "reference": "A"}' '{"judge": "tie", "reference": "B"}' '{"judge": null, "reference": "first"}' \
    '{"judge": "tie", "reference": "tie"}' '{"judge": 7, "reference": "tie"}' '{"judge": "first"}' >"$tmp/p.jsonl"
expect 1 "$critic" eval stats "$tmp/p.jsonl" --json
contains "$out" '"accuracy_with_tie":0.5,"accuracy_no_tie_strict":0.333333333333333,"accuracy_no_tie_decisive":1.0'
contains "$out" '"unparsed":1'
contains "$out" '"n":4,"rows":6'
one_line_error 'p.jsonl:5: has a number among choices; row left out (2 of this kind in the file)'
printf '%s\n' '{"judge": 1, "reference": 2}' '{"judge": 1, "reference": 3}' '{"judge": 1, "reference": "x"}' >"$tmp/c.jsonl"
expect 1 "$critic" eval stats "$tmp/c.jsonl" --json
contains "$out" '"pearson":{"value":null,"why":"one side has a single value","ci":null}'
one_line_error 'c.jsonl:3: has a value that is no finite number'
expect 3 "$critic" eval stats "$tmp/c.jsonl" -x score
one_line_error "has no 'score'; --x, --y and --z name the columns"
