#!/bin/sh
# Every flag that a command's --help shows stands in docs/cli.md: in the command's own section or in
# those about what is the same everywhere.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
page=$CRITIC_SOURCE_DIR/docs/cli.md

section() { # HEADING
    awk -v heading="## $1" '$0 == heading { inside = 1; next } /^## / { inside = 0 } inside' "$page"
}
flags_of() { # COMMAND…
    "$critic" "$@" --help | sed -n 's/^  \(-[a-zA-Z], \)\{0,1\}\(--[a-z0-9-]*\).*/\2/p'
}

n=0
check() { # COMMAND…
    expect 0 "$critic" "$@" --help
    flags_of "$@" >"$tmp/flags"
    [ -s "$tmp/flags" ] || fail "critic $* --help shows no flag"
    {
        section "critic $*"
        section "critic $1"
        section Models
        section 'Flags that mean the same everywhere'
        section Conventions
    } >"$tmp/section"
    while read -r flag; do
        case $flag in *-file) continue ;; esac # twins, told in Conventions
        grep -qE -- "$flag([^a-z-]|\$)" "$tmp/section" || fail "docs/cli.md: critic $* lacks $flag"
        n=$((n + 1))
    done <"$tmp/flags"
}

for command in judge prefer align generate forward tokenize inspect convert info bench perplexity 'data world' 'data critic' \
    'data prompts' 'data oracle' 'data stats' 'data lint' 'train sft' 'train dpo' 'train tower' 'eval micro' 'eval run' 'eval compare' 'eval merge' 'eval list' \
    'eval panel' 'eval stats' 'eval wildvision' 'eval llava-reviews' 'eval score mme' 'eval score pope' \
    'eval score mmbench'; do
    # shellcheck disable=SC2086
    check $command
done
[ "$n" -gt 300 ] || fail "only $n flags were compared"

# The list above holds every command of the program.
"$critic" --help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p' >"$tmp/commands"
while read -r command; do
    grep -qE "^## critic $command( |\$)" "$page" || fail "docs/cli.md has no section about critic $command"
done <"$tmp/commands"
