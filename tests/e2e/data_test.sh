#!/bin/sh
# critic data: a world from a seed, the same from another number of threads; critic records that lint finds
# nothing wrong with, that stats counts, and that critic judge takes as items.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"

world=$tmp/w
expect 0 "$critic" data --help
contains "$out" "world"
expect 2 "$critic" data wurld
one_line_error "did you mean 'data world'"
expect 2 "$critic" data
one_line_error
expect 2 "$critic" data world --count 3
one_line_error "--out"

expect 0 "$critic" data world --out "$world" --count 12 --seed 3 --threads 2 --json
contains "$out" '"images":12'
expect 2 "$critic" data world --out "$world" --count 12
one_line_error "--force"
expect 0 "$critic" data world --out "$tmp/v" --count 12 --seed 3 --threads 1 --quiet
equal "$out" ""
cmp "$world/train/base.jsonl" "$tmp/v/train/base.jsonl" || fail "other bytes with one thread"
cmp "$world/train/images/0000/000011.png" "$tmp/v/train/images/0000/000011.png" || fail "another picture"
expect 0 "$critic" data world --out "$tmp/j" --count 12 --seed 3 --jpeg 30 --quiet
expect 0 cmp "$world/train/scenes.jsonl" "$tmp/j/train/scenes.jsonl"
got=0
cmp -s "$world/train/images/0000/000003.png" "$tmp/j/train/images/0000/000003.png" || got=$?
equal $got 1
# The later items of a world are those of a longer one.
expect 0 "$critic" data world --out "$tmp/u" --start 10 --count 2 --seed 3 -q
equal "$(tail -n 2 "$world/train/base.jsonl")" "$(cat "$tmp/u/train/base.jsonl")"

expect 0 "$critic" data critic "$world/train/scenes.jsonl" --pairs 2 --points 2
contains "$out" "24 pairs"
equal "$(wc -l <"$world/train/critic.jsonl")" 48
equal "$(wc -l <"$world/train/critic-packed.jsonl")" 12
expect 3 "$critic" data critic "$world/train/labels.jsonl" --force
one_line_error "labels.jsonl:1"
expect 2 "$critic" data critic "$world/train/scenes.jsonl" --verdict-first 0 --reason-first 0 --verdict-only 0
one_line_error

# Questions for a policy: of every scene, none twice, the same from the same seed.
expect 0 "$critic" data prompts "$world/train/scenes.jsonl" --questions 3
contains "$out" "36 prompts"
equal "$(wc -l <"$world/train/prompts.jsonl")" 36
contains "$(head -n 1 "$world/train/prompts.jsonl")" '"id":"s3-train-000000-q0","images":["images/0000/000000.png"],"question":"'
equal "$(sed 's/.*"question"/"question"/' "$world/train/prompts.jsonl" | sort -u | wc -l)" 36
expect 2 "$critic" data prompts "$world/train/scenes.jsonl"
one_line_error "--force replaces it"
expect 0 "$critic" data prompts "$world/train/scenes.jsonl" --questions 3 -n 2 -o "$tmp/two.jsonl" --json
contains "$out" '"prompts":6'
head -n 6 "$world/train/prompts.jsonl" | cmp - "$tmp/two.jsonl" || fail "other questions of the first scenes"

# The oracle on anybody's answers: its own claims of a perfect one, and of nonsense.
sed -n 's/^{"id":"[^"]*","images":\(.*\),"question":\("[^"]*"\),"scene.*/{"id":"x","images":\1,"question":\2,"responses":["I see a dog."]}/p' \
    "$world/train/prompts.jsonl" >"$world/train/nonsense.jsonl"
expect 0 "$critic" data oracle "$world/train/nonsense.jsonl" --scenes "$world/train/scenes.jsonl"
contains "$out" '{"id":"x","scores":[0]}'
contains "$err" "36 items (0 failed), 36 answers, mean 0.00"
expect 1 "$critic" data oracle "$world/train/nonsense.jsonl" --scenes "$tmp/v/train/scenes.jsonl" --quiet
contains "$out" '"error":"'
rm "$world/train/nonsense.jsonl"

expect 0 "$critic" data world --out "$world" --split test --count 5 --quiet
expect 0 "$critic" data critic "$world/test/scenes.jsonl" --quiet --both-orders
expect 0 "$critic" data lint "$world"/train/*.jsonl "$world"/test/*.jsonl --image-folder "$world"
contains "$out" "0 faults"
rm "$world/test/images/0000/000002.png"
expect 1 "$critic" data lint "$world"/test/base.jsonl --image-folder "$world"
contains "$out" "base.jsonl:3: picture 'test/images/0000/000002.png' is not there"
expect 1 "$critic" data lint "$world"/test/base.jsonl --image-folder "$world" --json --limit 0
contains "$out" '"missing":1'

expect 0 "$critic" data stats "$world/train/critic.jsonl" --sheet "$tmp/sheet.png" --image-folder "$world"
contains "$out" "longer_wins"
[ -s "$tmp/sheet.png" ] || fail "no contact sheet"
expect 0 "$critic" data stats "$world/train/critic.jsonl" --json
contains "$out" '"records":48'
expect 3 "$critic" data stats "$tmp/nothing.jsonl"
one_line_error "nothing.jsonl"

# The oracle's lines are items; the micro templates ask in the world's words.
expect 0 "$critic" data critic "$world/train/scenes.jsonl" --limit 1 --pairs 0 --points 1 --out "$tmp/items" -q
cp -r "$world/train/images" "$tmp/items/images"
expect 0 "$critic" judge --model "$tiny/ov-lmms" --template micro-score-5-only --verdict-only \
    --input "$tmp/items/critic-oracle.jsonl" --output "$tmp/verdicts.jsonl"
contains "$(cat "$tmp/verdicts.jsonl")" '"template":"micro-score-5-only"'

# Critic records become the oracle's items and come back as the same bytes, by way of chat messages too.
critic_file=$world/train/critic.jsonl
expect 0 "$critic" data convert "$critic_file" --to items --out "$tmp/from.jsonl" --json
contains "$out" '"written":48'
for key in id question verdict template; do
    sed "s/.*\"$key\":\"\\{0,1\\}\\([^\",]*\\).*/\\1/; s/\\.0}*\$//; s/}\$//" "$tmp/from.jsonl" >"$tmp/got.$key"
    sed "s/.*\"$key\":\"\\{0,1\\}\\([^\",]*\\).*/\\1/; s/}\$//" "$world/train/critic-oracle.jsonl" >"$tmp/want.$key"
    cmp "$tmp/got.$key" "$tmp/want.$key" || fail "'$key' is not the oracle's"
done
expect 0 "$critic" data convert "$tmp/from.jsonl" --to llava --out "$tmp/back.jsonl" --quiet
expect 0 cmp "$tmp/back.jsonl" "$critic_file"
expect 0 "$critic" data convert "$critic_file" --to messages --out "$tmp/messages.jsonl" --quiet
contains "$(head -n 1 "$tmp/messages.jsonl")" '"messages":[{"role":"user","content":"<image>\n'
expect 0 "$critic" data convert "$tmp/messages.jsonl" --to llava --out "$tmp/again.jsonl" --quiet
expect 0 cmp "$tmp/again.jsonl" "$critic_file"
# A record written from the verdict alone, and one that a reason follows.
printf '{"id":"a","images":["x.png"],"question":"Q?","responses":["A.","B!"],"verdict":"second","reason":"Because."}\n' >"$tmp/item.jsonl"
expect 0 "$critic" data convert "$tmp/item.jsonl" --to llava --template pairwise --out "$tmp/item-llava.jsonl" --quiet
contains "$(cat "$tmp/item-llava.jsonl")" '"image":"x.png","conversations":[{"from":"human","value":"<image>\n'
expect 0 "$critic" data convert "$tmp/item-llava.jsonl" --to pairs --out "$tmp/pair.jsonl" --quiet
equal "$(cat "$tmp/pair.jsonl")" '{"id":"a","image":"x.png","prompt":"<image>\nQ?","chosen":"B!","rejected":"A."}'
expect 3 "$critic" data convert "$world/train/base.jsonl" --to items --out "$tmp/none.jsonl"
contains "$err" "base.jsonl:1: not one question and one reply"
[ ! -e "$tmp/none.jsonl" ] || fail "a file in spite of bad records"
# --skip-bad leaves out a line that is no JSON, too.
{ echo '{"id": "br'; head -n 1 "$critic_file"; } >"$tmp/broken.jsonl"
expect 3 "$critic" data convert "$tmp/broken.jsonl" --to messages --out "$tmp/none.jsonl"
expect 0 "$critic" data convert "$tmp/broken.jsonl" --to messages --out "$tmp/whole.jsonl" --skip-bad --json
contains "$out" '"written":1'
contains "$err" 'broken.jsonl:1:'
expect 2 "$critic" data convert "$critic_file" --to items
one_line_error "--out"

# Parts: everything once, no picture in two, the same when the file has grown.
expect 0 "$critic" data split "$critic_file" --out "$tmp/parts" --part a=0.5 --part b=0.5 --json
contains "$out" '"records":{"a":'
cat "$tmp/parts/a.jsonl" "$tmp/parts/b.jsonl" | sort >"$tmp/all"
sort "$critic_file" | cmp - "$tmp/all" || fail "records are lost or changed"
expect 0 "$critic" data lint "$tmp/parts/a.jsonl" "$tmp/parts/b.jsonl" --image-folder "$world"
contains "$out" "0 faults"
[ -s "$tmp/parts/a.jsonl" ] && [ -s "$tmp/parts/b.jsonl" ] || fail "a part is empty"
head -n 24 "$critic_file" >"$tmp/half.jsonl"
expect 0 "$critic" data split "$tmp/half.jsonl" --out "$tmp/half" --part a=0.5 --part b=0.5 --quiet
head -n "$(wc -l <"$tmp/half/a.jsonl")" "$tmp/parts/a.jsonl" | cmp - "$tmp/half/a.jsonl" || fail "records moved when the file grew"
expect 2 "$critic" data split "$critic_file" --out "$tmp/parts" --part a=0.5 --part b=0.5
one_line_error "--force"
expect 2 "$critic" data split "$critic_file" --out "$tmp/parts" --part a
one_line_error "NAME=SHARE"
