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

# ---- the demo's judgement: right in both orders, and its reason true of the picture ------------------------------------
example=$CRITIC_SOURCE_DIR/examples/micro.png
truth='left: small red circle with one
right: large blue star with zero
bottom-right: large yellow ring with six'
better=$(printf '%s' "$truth" | sed '2s/^/; /; 3s/^/; /' | tr -d '\n').
worse='left: small red circle with one; right: large green star with zero; bottom-right: large yellow ring with six; top: small black cross.'
true_of_picture() { # REASON
    printf '%s' "$1" | sed 's/\\n/;/g' | tr ';' '\n' >"$tmp/items"
    sed -n 's/^ *\(First: \|Second: \)\{0,1\}\(missing \)\{0,1\}\([a-d1-4a-z-]*\): \([^,.]*\).*/\3: \4/p' "$tmp/items" >"$tmp/said"
    [ -s "$tmp/said" ] || fail "no fact in: $1"
    while read -r fact; do
        case $fact in
        left:\ nothing | right:\ nothing | bottom-right:\ nothing) fail "not true: $fact" ;;
        *:\ nothing) ;;
        *) printf '%s\n' "$truth" | grep -qxF "$fact" || fail "not true: $fact" ;;
        esac
    done <"$tmp/said"
}
expect 0 "$critic" judge --image "$example" --question 'Describe the picture.' --answer "$worse" --answer "$better" \
    --both-orders --probabilities --json
equal "$(printf '%s' "$err" | head -n 1)" "no --model given: judging with micro-critic, which is made for the micro world's pictures only"
lacks "$err" "warning"
contains "$out" '"verdict":"second"'
contains "$out" '"consistent":true'
contains "$out" '"template":"micro-pair-01-reason"'
reason=$(printf '%s' "$out" | sed 's/.*"status":"ok","verdict":"second"[^}]*},*"reason":"\([^"]*\)".*/\1/; s/.*"reason":"\([^"]*\)".*/\1/')
contains "$reason" "First: "
true_of_picture "$reason"
expect 0 "$critic" judge --image "$example" --question 'Describe the picture.' --answer "$worse" --answer 'bottom: small white ring.' \
    --answer "$better" --both-orders --quiet
equal "$err" ""
contains "$out" "best first: 3 1 2"
expect 0 env CRITIC_MODEL=micro-critic "$critic" judge --image "$example" --question 'Describe the picture.' --answer "$better" --scale 1-10
lacks "$err" "no --model"
contains "$err" "template micro-score-10-reason"
contains "$out" "score "

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
