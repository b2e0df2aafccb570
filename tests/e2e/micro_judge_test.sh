#!/bin/sh
# Judging with the models that are compiled in: what they were not made for is told.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
photo=$CRITIC_SOURCE_DIR/tests/golden/images/cat-wide.jpg
expect 0 "$critic" data world --out "$tmp/world" --split test --count 2 --seed 3 --quiet
picture=$tmp/world/test/images/0000/000000.png

# ---- the picture of examples/ is one that no model has seen ----------------------------------------------------------
expect 0 "$critic" data world --out "$tmp/example" --split test --start 10 --count 1 --seed 2026 --large 0 --quiet
cmp "$tmp/example/test/images/0000/000010.png" "$CRITIC_SOURCE_DIR/examples/micro.png"

# ---- shown to a person -------------------------------------------------------------------------------------------------
expect 0 "$critic" judge --show --model micro-base --verdict-only --image "$picture" --question 'Is there a ring?' --answer yes --answer no
contains "$out" "Picture   $picture
Question  Is there a ring?
Answer 1  yes
Answer 2  no"
lacks "$out" "$(printf '\033')"
expect 0 env COLORTERM=truecolor "$critic" judge --show --model micro-base --verdict-only --image "$picture" \
    --question 'Is there a ring?' --answer yes --color always
contains "$out" "$(printf '\033[38;2;')"
expect 2 "$critic" judge --show --json --model micro-base --question Q --answer A
one_line_error "--show"

# ---- pictures and questions from outside the world ---------------------------------------------------------------
warned() { # PART FLAGS…
    part=$1
    shift
    expect 0 "$critic" judge --model micro-base --verdict-only --answer two "$@"
    contains "$err" "warning: micro-base was not made for this"
    contains "$err" "$part"
    contains "$err" "hf download lmms-lab/llava-critic-7b"
}
silent() { # FLAGS…
    expect 0 "$critic" judge --verdict-only --answer two "$@"
    lacks "$err" "warning"
}
warned 'a picture of 350 x 54 pixels' --image "$photo" --question 'How many objects are there?'
warned "'sofa'" --image "$picture" --question 'What is on the sofa?'
warned '0 pictures' --question 'How many objects are there?'
warned '2 pictures' --image "$picture" --image "$picture" --question 'How many objects are there?'
silent --model micro-base --image "$picture" --question 'How many objects are there?'
silent --model micro-base --image "$photo" --question 'Which animal?' --quiet
silent --model "$tiny/ov-lmms" --image "$photo" --question 'Which animal?'
for question in Which How; do
    echo '{"images":["'"$photo"'"],"question":"'$question' many objects are there?","responses":["two"]}'
    echo '{"images":["'"$picture"'"],"question":"'$question' many objects are there?","responses":["two"]}'
done >"$tmp/items.jsonl"
expect 0 "$critic" judge --model micro-base --verdict-only --input "$tmp/items.jsonl"
contains "$err" "warning: micro-base was not made for this"
contains "$err" "warning: 2 of 4 items were from outside micro-base's world"
